import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { qualifiedTable } from '../../offline/ingest/ingest-once.ts'
import type { LoadedFile } from '../../offline/source-files/load-source-file.ts'
import { loadSourceFile } from '../../offline/source-files/load-source-file.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { Logger } from '../../runtime/log.ts'
import { materializeView } from '../runs/materialize.ts'
import type { FileChange } from './sync-plan.ts'
import type { Replacement } from './undo-ingest.ts'
import { replaceIngest, undoIngest, viewsReading } from './undo-ingest.ts'

/** How long transactions that were open before are waited for when rows are deleted, milliseconds. */
const waitMs = 5_000

export interface ChangeTools {
  readonly db: Database
  readonly store: OnlineStore
  readonly log?: Logger
}

export interface ChangeContext {
  readonly catalog: Catalog
  readonly source: SourceSpec
  readonly files: FilesSpec
  readonly actor: string
  readonly signal: AbortSignal
}

/**
 * Loads one file, deletes the rows of a load, or both in one transaction.
 *
 * @returns what was loaded; null: nothing, as another process has loaded the file, or it is only undone
 */
export async function applyChange(
  tools: ChangeTools,
  { load, undo }: FileChange,
  { catalog, source, files, actor, signal }: ChangeContext,
): Promise<LoadedFile | null> {
  const undoing = { source: source.name, by: { actor }, moment: Date.now() * 1000, waitMs, signal, log: tools.log }
  const replaced = load === null || undo === null ? null : await replacementOf(tools, catalog, undo, undoing)
  if (undo !== null && replaced === null) await undoLoad(tools, catalog, undo, undoing)
  if (load === null) return null
  const loaded = await loadSourceFile(tools.db, source, files, load, { actor, signal, before: replaced?.statements ?? [] })
  faultPoint('source file: loaded')
  if (loaded !== null) await replaced?.finish()
  return loaded
}

/**
 * Loads whose rows are deleted, but whose states are not rebuilt: the job that replaced them was cancelled or failed,
 * or the process that undid them ended. None while a worker replaces files of the source: it rebuilds the states.
 *
 * @param job the one that asks
 */
export async function unfinishedUndos(
  db: Database,
  source: SourceSpec,
  job: { readonly kind: string; readonly id: number },
): Promise<string[]> {
  const found = await db.query<{ id: string }>(
    `SELECT id::text AS id FROM lockstep.ingests
     WHERE source = $1 AND relation = $2 AND undoing_at IS NOT NULL AND undone_at IS NULL AND NOT EXISTS (
       SELECT FROM lockstep.jobs j JOIN lockstep.job_chunks c ON c.job = j.id
       WHERE j.kind = $3 AND j.subject = $1 AND j.id <> $4 AND j.spec->>'replace' <> 'none'
         AND c.state = 'open' AND c.claim IS NOT NULL AND c.claimable_at > clock_timestamp())`,
    [source.name, await qualifiedTable(db, source), job.kind, job.id],
  )
  return found.map(({ id }) => id)
}

export async function noteUndone({ kysely }: Database, loads: readonly string[]): Promise<void> {
  if (loads.length === 0) return
  await kysely.updateTable('lockstep.ingests').set({ undone_at: new Date() }).where('id', 'in', loads).execute()
}

/** Rows that were deleted from the table are in the states of entities still. */
export async function rebuildReaders(
  { db, store, log }: ChangeTools,
  catalog: Catalog,
  source: SourceSpec,
  signal: AbortSignal,
): Promise<void> {
  const relation = await qualifiedTable(db, source)
  const readers = relation === null ? [] : await viewsReading(db, store, catalog, relation)
  for (const plan of readers) await materializeView(db, store, plan, { rebuild: true, moment: Date.now() * 1000, signal, log })
}

/** null: another attempt or another sync has deleted the rows. */
async function replacementOf(
  { db, store }: ChangeTools,
  catalog: Catalog,
  id: string,
  options: Parameters<typeof replaceIngest>[4],
): Promise<Replacement | null> {
  return (await isDone(db, id)) ? null : await unlessUndone(() => replaceIngest(db, store, catalog, id, options))
}

/** An undo that another attempt has finished is done. */
async function undoLoad(
  { db, store }: ChangeTools,
  catalog: Catalog,
  id: string,
  options: Parameters<typeof undoIngest>[4],
): Promise<void> {
  if (!(await isDone(db, id))) await unlessUndone(() => undoIngest(db, store, catalog, id, options))
}

/** Whether a load is undone, its states included. */
async function isDone({ kysely }: Database, id: string): Promise<boolean> {
  const load = await kysely.selectFrom('lockstep.ingests').select('undone_at').where('id', '=', id).executeTakeFirst()
  return load === undefined || load.undone_at !== null
}

/** null: another sync has undone the load meanwhile. */
async function unlessUndone<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'USAGE') return null
    throw error
  }
}
