import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { DatasetFormat, WrittenFile } from '../../offline/files/dataset-writer.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { storedServices } from '../../registry/stored-services.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { OutcomeTally } from '../outcomes/exported-outcome.ts'
import { createOutcomeTally } from '../outcomes/exported-outcome.ts'
import { ownOutcome } from '../quality/quality-report.ts'
import { exportColumns, exportPredictions, otherServices } from './export-predictions.ts'

/** The logged predictions that a caller asks for. */
export interface WantedPredictions {
  readonly model: string
  /** `name@version`. Absent: the model's current one. */
  readonly service?: string | undefined
  /** Epoch microseconds: logged from `since` on and before `until`, and outcomes as known at `until`. */
  readonly since: number
  readonly until: number
  /** Adds what came of each. */
  readonly outcome?: string | undefined
  /** Whether only predictions with a value of the outcome are written. */
  readonly labelled: boolean
}

export interface WrittenPredictions extends WrittenFile {
  readonly model: string
  readonly service: string
  /** The predictions from other services in that time, which are not in the file. */
  readonly others: readonly { readonly id: string; readonly rows: number }[]
  readonly outcome?: (OutcomeTally & { readonly name: string; readonly asOf: string }) | undefined
}

/**
 * Writes logged predictions to a file, with typed columns.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, and those of `exportPredictions` and of the writer
 */
export async function writePredictions(
  db: Database,
  catalog: Catalog,
  { model: modelName, service: serviceId, since, until, outcome, labelled }: WantedPredictions,
  {
    path,
    format,
    overwrite,
    signal,
  }: { readonly path: string; readonly format: DatasetFormat; readonly overwrite: boolean; readonly signal: AbortSignal },
): Promise<WrittenPredictions> {
  const model = catalog.model(modelName)
  const wanted = (serviceId ?? model.spec.service) as DefinitionId
  const service = (await storedServices(db, [wanted])).get(wanted)
  if (service === undefined) {
    throw new LockstepError('UNKNOWN_DEFINITION', `There is no feature service "${wanted}" in the registry; give it as name@version.`, {
      details: { kind: 'feature service', name: wanted },
    })
  }
  const logged = { model: model.name, service, outputs: model.spec.output, since, until }
  const plan = outcome === undefined ? undefined : ownOutcome(catalog, model, outcome)
  const query = plan === undefined ? logged : { ...logged, outcome: { plan, asOf: until } }
  const columns = exportColumns(query)
  const tally = plan === undefined ? null : createOutcomeTally(columns, labelled)
  const writer = await createDatasetWriter(path, columns, { format, overwrite })
  try {
    await db.snapshot(async (snapshot) => {
      for await (const batch of exportPredictions(snapshot, query)) {
        signal.throwIfAborted()
        await writer.write(tally?.take(batch) ?? batch)
      }
    })
    const file = await writer.close()
    return {
      model: model.name,
      service: service.id,
      ...file,
      others: await otherServices(db, query),
      ...(tally === null || outcome === undefined ? {} : { outcome: { name: outcome, asOf: formatTimestamp(until), ...tally.counts } }),
    }
  } catch (error) {
    await writer.abort()
    throw error
  }
}
