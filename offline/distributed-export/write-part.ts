import { randomUUID } from 'node:crypto'
import { access, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Values } from '../datasets/build-dataset.ts'
import { pick } from '../datasets/build-dataset.ts'
import { carriedColumns } from '../datasets/carried-columns.ts'
import type { SpineRange } from '../datasets/dataset-parts.ts'
import { partOfRange, rowsOfPart } from '../datasets/dataset-parts.ts'
import type { DatasetRecipe } from '../datasets/dataset-recipe.ts'
import { openSink } from '../../runtime/files/open-sink.ts'
import { createDatasetWriter, openOutput } from '../files/dataset-writer.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { within } from '../datasets/dataset-manifest.ts'
import { placePart, putText } from './export-objects.ts'
import { placeFiles, writeFailed } from '../../runtime/files/place-files.ts'
import { joinSpine } from '../join.ts'
import { countMissingRequired } from '../datasets/missing-required.ts'
import { sliceSpine } from '../spine/slice-spine.ts'
import { collectStatistics } from '../profile/column-statistics.ts'
import type { StoredSpine } from '../spine/spine.ts'
import type { WrittenExportPart } from './export-spec.ts'
import { partPathOf, statisticsOfPart } from './export-spec.ts'

/** The task of one worker: the rows of one range of a spine, with the same view of the sources as all parts. */
export interface ExportPartTask extends Pick<DatasetRecipe, 'rule' | 'asOf' | 'knownBefore' | 'columns' | 'dropIncomplete' | 'format'> {
  /** From 0. */
  readonly part: number
  readonly range: SpineRange
  readonly spine: StoredSpine
  /** The `xmin` of the first snapshot: all transactions below it are settled. */
  readonly arrivedBefore: number
  /** The folder of the export. */
  readonly out: string
  /**
   * The folder where the file is written, under a unique name, until all parts are complete; in object storage only its
   * statistics are.
   */
  readonly folder: string
  /** The name of this process for others: `host:pid`. */
  readonly worker: string
}

/**
 * Writes the rows of one part into the folder of its export, and its statistics beside it. After an error there is no
 * file.
 *
 * @throws LockstepError `WRITE_FAILED`, and all errors of `joinSpine`
 */
export async function writePart(db: Database, service: ServicePlan, task: ExportPartTask, signal: AbortSignal): Promise<WrittenExportPart> {
  const stored = isStoredObject(task.out)
  if (!stored)
    await access(task.folder).catch((cause: unknown) => {
      throw new LockstepError(
        'WRITE_FAILED',
        `The worker "${task.worker}" does not find the folder "${task.folder}" of the export; mount it under this path on all workers.`,
        { cause, details: { path: task.folder } },
      )
    })
  const allRows = partOfRange(task.range)
  const spine = await sliceSpine(db, task.spine, task.range, signal)
  const carried = carriedColumns(spine, task.columns)
  const columns: Column<ValueType>[] = [
    ...carried.map((slot) => spine.columns[slot] as Column),
    ...service.features.map(({ name, type }) => ({ name, type })),
  ]
  // an object has its final name at once
  const path = stored
    ? partPathOf({ out: task.out, recipe: task }, task.part)
    : join(task.folder, `${task.part}.${randomUUID()}.${task.format}`)
  const file = basename(path)
  const { format } = task
  const writer = stored
    ? await openOutput(await openSink(path, false), columns, format)
    : await createDatasetWriter(path, columns, { format })
  try {
    const missing = countMissingRequired(service)
    const statistics = collectStatistics(columns)
    const { rule, asOf, knownBefore, arrivedBefore } = task
    let first = task.range.from
    await joinSpine(db, service, spine, { rule, bound: asOf, knownBefore, arrivedBefore, oneOfMany: true, signal }, async (batch) => {
      missing.update(batch.missing)
      const data = [...carried.map((slot) => batch.spine[slot] as Values), ...batch.values]
      const chosen = pick(data, rowsOfPart(allRows, first, batch.times, task.dropIncomplete ? batch.missing : null))
      first += batch.length
      statistics.update(chosen)
      await writer.write(chosen)
    })
    signal.throwIfAborted()
    const sealed = await writer.seal()
    await (stored ? placePart(sealed, writer) : placeFiles([sealed], false))
    const state = JSON.stringify(statistics.state(), (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
    const beside = within(task.folder, statisticsOfPart(file))
    if (stored) await putText(beside, state, true)
    else
      await writeFile(beside, state, { flush: true }).catch((cause: unknown) => {
        throw writeFailed(beside, cause)
      })
    const { rows, bytes, sha256 } = sealed
    return { file, range: task.range, rows, bytes, sha256, missing: { rows: missing.rows(), byFeature: missing.byFeature() } }
  } catch (error) {
    await writer.abort()
    throw error
  }
}
