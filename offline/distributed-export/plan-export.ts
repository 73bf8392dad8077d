import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { equalRanges } from '../datasets/dataset-parts.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { makeFolder } from '../../runtime/files/make-folder.ts'
import { writeFailed } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { confirmLeaks, refuseLabelLeak } from '../datasets/label-leak.ts'
import { readSourceTable } from '../rows/source-table.ts'
import { openSpine } from '../spine/open-spine.ts'
import { indexSpine } from '../spine/slice-spine.ts'
import type { Spine } from '../spine/spine.ts'
import { filesRead } from '../source-files/stored-files.ts'
import { settledNow } from '../rows/stream-bounds.ts'
import { isOfExport, listObjects, removeObjects } from './export-objects.ts'
import type { ExportChunk, ExportPlan, ExportSpec } from './export-spec.ts'

export interface PlannedExport {
  readonly plan: ExportPlan
  readonly chunks: readonly ExportChunk[]
  /** The spine, which this process still owns. */
  readonly spine: Spine
}

/**
 * Loads the spine that all parts read, and splits it into parts.
 *
 * @param db must outlive the signal: it drops the spine after an error
 * @throws LockstepError `NOT_REPRODUCIBLE` with several parts, where a source does not record arrivals, so that
 * processes cannot see the same rows of it; `FILE_EXISTS`, `LABEL_LEAK`, `WRITE_FAILED`, and all errors of `openSpine`
 */
export async function planExport(
  db: Database,
  service: ServicePlan,
  { recipe, parts, out, overwrite }: ExportSpec,
  signal: AbortSignal | undefined,
): Promise<PlannedExport> {
  if (!overwrite) await refuseExisting(await namesIn(out))
  const { rule, knownBefore, time, sample, order, columns: carried } = recipe
  // a file never fails this check, so its check can wait
  const suspected = 'file' in recipe.spine ? null : await refuseLabelLeak(db, service, recipe.spine, recipe)
  const arrivedBefore = recipe.arrivedBefore ?? (await settledNow(db, signal))
  const files = await filesRead(db, service, arrivedBefore)
  const seen = { rule, knownBefore, arrivedBefore }
  const spine = await openSpine(db, service, recipe.spine, { time, carried, sample, order, seen, signal })
  try {
    await indexSpine(db, spine, signal)
    const ranges = equalRanges(spine.rows, 'count' in parts ? parts.count : Math.ceil(spine.rows / parts.rows))
    if (ranges.length > 1) await refuseUnfrozen(db, service, 'export without parts')
    const unchecked = suspected === null ? null : await confirmLeaks(db, service, spine, suspected)
    const made = isStoredObject(out) ? await clearFolder(out) : await makeFolders(out)
    const { drop: _, table: __, ...stored } = spine
    const chunks: ExportChunk[] = ranges.map((range, part) => ({ part, parts: ranges.length, range }))
    return { plan: { spine: stored, arrivedBefore, files, unchecked, made: made ?? null }, chunks: [...chunks, { facts: true }], spine }
  } catch (error) {
    await spine.drop().catch(() => undefined)
    throw error
  }
}

/** The files that an export into the folder would overwrite: its parts, whatever their number, and its manifest. */
export async function namesIn(folder: string): Promise<string[]> {
  if (isStoredObject(folder)) return await listObjects(folder, isOfExport)
  const names = await readdir(folder).catch(() => [])
  return names.filter(isOfExport).map((name) => join(folder, name))
}

/** @returns the topmost folder that was made */
async function makeFolders(out: string): Promise<string | undefined> {
  return await makeFolder(out).catch((cause: unknown) => {
    throw writeFailed(out, cause)
  })
}

/** Removes an export that is replaced, first what says that it is complete. */
async function clearFolder(out: string): Promise<undefined> {
  const names = await namesIn(out)
  await removeObjects(names.toSorted((a, b) => Number(b.endsWith('/manifest.json')) - Number(a.endsWith('/manifest.json'))))
}

/**
 * @param instead what else to do, to end the message with
 * @throws LockstepError `NOT_REPRODUCIBLE` naming a source that does not record arrivals
 */
export async function refuseUnfrozen(db: Database, service: ServicePlan, instead: string): Promise<void> {
  for (const { plan } of service.uses) {
    const { source } = plan.spec
    if ((await readSourceTable(db, source)).hasXid) continue
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `The ${source.relation.kind === 'sql' ? 'query' : 'table'} of source "${source.name}" has no column "_xid", so several processes cannot read the same rows of it while new rows arrive. ${source.relation.kind === 'sql' ? 'Name a table' : 'Add the columns "_row" and "_xid" by the statements of "lockstep plan --verbose"'}, let "apply" create the table, or ${instead}.`,
      { details: { source: source.name } },
    )
  }
}
