import { randomUUID } from 'node:crypto'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, ValueType } from '../../kernel/value-type.ts'
import type { Database } from '../../runtime/database.ts'
import type { Values } from '../build-dataset.ts'
import { pick } from '../build-dataset.ts'
import { carriedColumns } from '../carried-columns.ts'
import { partOfRange, rowsOfPart } from '../dataset-parts.ts'
import { createDatasetWriter } from '../files/dataset-writer.ts'
import { joinSpine } from '../join.ts'
import { countMissingRequired } from '../missing-required.ts'
import { sliceSpine } from '../spine/slice-spine.ts'
import { collectStatistics } from '../profile/column-statistics.ts'
import type { PartJob, WrittenPart } from './part-job.ts'

/**
 * Writes the rows of one part into the folder of its export; after an error there is no file.
 *
 * @throws LockstepError `NOT_REPRODUCIBLE` where the service is not the one that was asked for, `WRITE_FAILED`, and
 *   whatever `joinSpine` throws
 */
export async function writePart(
  db: Database,
  service: ServicePlan,
  job: PartJob,
  worker: string,
  signal: AbortSignal,
): Promise<WrittenPart> {
  if (service.fingerprint !== job.service.fingerprint) {
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `The service "${service.id}" is not the one that the export was begun with: its fingerprint is ${service.fingerprint}, not ${job.service.fingerprint}. Let all workers be of the same version.`,
    )
  }
  await access(job.folder).catch((cause: unknown) => {
    throw new LockstepError(
      'WRITE_FAILED',
      `The folder "${job.folder}" of the export is not there for the worker "${worker}"; let all workers reach it under the same path.`,
      { cause, details: { path: job.folder } },
    )
  })
  const range = partOfRange(job.range)
  const spine = await sliceSpine(db, job.spine, job.range, signal)
  const carried = carriedColumns(spine, job.columns)
  const columns: Column<ValueType>[] = [
    ...carried.map((slot) => spine.columns[slot] as Column),
    ...service.features.map(({ name, type }) => ({ name, type })),
  ]
  const file = `${job.part}.${randomUUID()}.${job.format}`
  const writer = await createDatasetWriter(join(job.folder, file), columns, { format: job.format })
  try {
    const missing = countMissingRequired(service)
    const statistics = collectStatistics(columns)
    const { rule, asOf, knownBefore, arrivedBefore } = job
    let first = job.range.from
    await joinSpine(db, service, spine, { rule, bound: asOf, knownBefore, arrivedBefore, oneOfMany: true, signal }, async (batch) => {
      missing.update(batch.missing)
      const data = [...carried.map((slot) => batch.spine[slot] as Values), ...batch.values]
      const chosen = pick(data, rowsOfPart(range, first, batch.times, job.dropIncomplete ? batch.missing : null))
      first += batch.length
      statistics.update(chosen)
      await writer.write(chosen)
    })
    signal.throwIfAborted()
    const written = await writer.close()
    const lacking = { rows: missing.rows(), byFeature: missing.byFeature() }
    return { part: job.part, worker, file, ...written, missing: lacking, statistics: statistics.state() }
  } catch (error) {
    await writer.abort()
    throw error
  }
}
