import { openUnserved } from '../../inference/open-unserved.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { DatasetOutput } from '../../offline/files/dataset-writer.ts'
import type { FileEngine } from '../../offline/join-engine.ts'
import type { JoinProgress } from '../../offline/join.ts'
import type { Spine } from '../../offline/spine/spine.ts'
import { isTableUrl } from '../../registry/define/batch-output-fields.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { manifestOf, requireFewRefused } from '../batch/batch-job.ts'
import type { WrittenBatchPart } from '../batch/batch-output.ts'
import type { BatchManifest, BatchPart, BatchRequest, BatchSpec } from '../batch/batch-spec.ts'
import { noJob, ordinalName } from '../batch/batch-spec.ts'
import { createFolderOutput } from '../batch/folder-output.ts'
import { refuseClash, requireRows } from '../batch/plan-batch.ts'
import { batchColumns, predictJoined } from '../batch/write-batch-part.ts'

export interface EngineBatchOptions {
  readonly signal: AbortSignal
  readonly log: Logger
  readonly onProgress: (progress: JoinProgress) => void
}

/**
 * Predicts the rows of a spine of files into a folder, in this process: the parts, then the manifest, then `_SUCCESS`.
 * The rows are in the order of the spine. After an error the parts are removed.
 *
 * @throws LockstepError `USAGE` for an output that is no folder; `TOO_FEW_ROWS`, `TOO_MANY_REFUSED`, and what
 *   the engine, the model and the folder throw
 */
export async function runEngineBatch(
  { db, catalog, engine }: { readonly db: Database; readonly catalog: Catalog; readonly engine: FileEngine },
  id: string,
  request: BatchRequest,
  { signal, log, onProgress }: EngineBatchOptions,
): Promise<BatchManifest> {
  if (isTableUrl(request.out) || request.onlineMicros !== null)
    throw new LockstepError(
      'USAGE',
      `The engine "${engine.name}" writes predictions into a folder alone. Choose a folder for --out, without --online.`,
    )
  const model = catalog.model(request.model)
  const version = pickVersion(model, request.version ?? undefined)
  const { service, binding } = bindVersion(catalog, model.spec, version)
  const spec: BatchSpec = {
    id,
    createdAt: new Date().toISOString(),
    request,
    version: version.version,
    sha256: version.sha256,
    service: { id: service.id, fingerprint: service.fingerprint },
    arrivedBefore: 0,
    etag: null,
    key: [],
    store: null,
    schedule: null,
  }
  const output = createFolderOutput(db, noJob, spec)
  const pool = createProcessPool()
  const { name, operational } = model
  const named = { binding, name: `${name}@${version.version}`, operational, pool, log }
  const opened = await openUnserved(() => readModelBytes(db, name, version.version), named)
  const parts: BatchPart[] = []
  let writer: DatasetOutput<WrittenBatchPart> | null = null
  let begun = false
  try {
    const spine = await engine.openSpine(service, request.spine, { time: request.time, carried: request.columns, signal })
    requireRows(spec, spine.rows)
    refuseClash(
      spine.columns.map(({ name }) => name),
      request,
      opened.outputs,
    )
    const numbered: Spine = { ...spine, columns: [...spine.columns, { name: ordinalName, type: { kind: 'int64' }, sql: '' }] }
    const { slots, columns } = batchColumns(numbered, request, opened.outputs)
    await output.begin(columns, spine.time)
    begun = true
    let [first, held, refused, began] = [0, 0, 0, process.cpuUsage()]

    const seal = async (open: DatasetOutput<WrittenBatchPart>): Promise<void> => {
      const sealed = await open.seal()
      writer = null
      const { user, system } = process.cpuUsage(began)
      const memory = { peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024) }
      parts.push({ ...sealed, refused, cpuSeconds: (user + system) / 1e6, memory })
      ;[held, refused, began] = [0, 0, process.cpuUsage()]
    }

    const options = { bound: request.asOf, knownBefore: request.knownBefore, signal, onProgress }
    await engine.join(service, spine, options, async (batch) => {
      const { predictions, statuses } = await predictJoined(opened.runColumns, batch)
      const ordinals = Array.from({ length: batch.length }, (_, i) => BigInt(first + i + 1))
      const carried = slots.map((slot) => (slot === spine.columns.length ? ordinals : batch.spine[slot]) as readonly (Value | null)[])
      const all = [...carried, ...predictions, statuses]
      for (let from = 0; from < batch.length;) {
        const open = (writer ??= await output.part(parts.length, columns))
        const to = Math.min(batch.length, from + request.rowsPerPart - held)
        await open.write(all.map((column) => column.slice(from, to)))
        for (let row = from; row < to; row++) if (statuses[row] !== 'OK') refused++
        held += to - from
        from = to
        if (held === request.rowsPerPart) await seal(open)
      }
      first += batch.length
    })
    // an empty batch has an empty file, so that readers find its columns
    if (writer !== null || parts.length === 0) await seal(writer ?? (await output.part(0, columns)))
    const { drop: _, table: __, ...plain } = numbered
    const manifest = {
      ...manifestOf(noJob, spec, { spine: plain, parts: parts.length, sourceFiles: [] }, parts, opened.outputs),
      engine: { name: engine.name, sources: await engine.pinned(signal) },
    }
    requireFewRefused(spec, manifest)
    signal.throwIfAborted()
    await output.complete(manifest)
    return manifest
  } catch (error) {
    await (writer as DatasetOutput<WrittenBatchPart> | null)?.abort()
    // what the folder had before is another batch's
    if (begun)
      await output.clean(parts).catch((cause: unknown) => log.error({ err: cause }, 'parts of a failed batch could not be removed'))
    throw error
  } finally {
    await opened.close()
    pool.close()
  }
}
