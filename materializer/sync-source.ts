import { z } from 'zod'
import type { FilesSpec } from '../kernel/files-spec.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ErrorCode } from '../kernel/errors.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { ListedFile } from '../offline/source-files/list-files.ts'
import { listFiles } from '../offline/source-files/list-files.ts'
import type { LoadedFile } from '../offline/source-files/load-source-file.ts'
import { loadSourceFile } from '../offline/source-files/load-source-file.ts'
import type { FilesDifference } from '../offline/source-files/stored-files.ts'
import { compareFiles, isEmptied, readStoredFiles } from '../offline/source-files/stored-files.ts'
import { qualifiedTable } from '../offline/ingest-once.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Actor } from '../runtime/audit.ts'
import { recordAudit } from '../runtime/audit.ts'
import type { Database } from '../runtime/database.ts'
import { faultPoint } from '../runtime/fault-point.ts'
import type { Logger } from '../runtime/log.ts'
import type { JobKind } from '../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../runtime/jobs/job-kinds.ts'
import { submitJob } from '../runtime/jobs/submit-job.ts'
import { sourceRelation } from '../runtime/relation.ts'
import { materializeView } from './materialize.ts'
import type { Replacement } from './undo-ingest.ts'
import { viewsReading, replaceIngest, undoIngest } from './undo-ingest.ts'

/** The kind of jobs that load Parquet files into the table of their source. */
export const sourceSyncKind = 'source-sync' satisfies JobKindName

const specSchema = z.object({
  source: z.string(),
  /** Files whose rows are replaced: `none`, those that changed, or those that vanished, too. */
  replace: z.enum(['none', 'changed', 'vanished']),
  /** Who asked for it; null: a schedule. */
  actor: z.string().nullable(),
})
export type SourceSyncSpec = z.infer<typeof specSchema>

/** What one chunk does, one file after the other. */
interface FileGroup {
  readonly files: readonly FileChange[]
}

interface FileChange {
  readonly path: string
  /** null: the file does not exist any more. */
  readonly load: ListedFile | null
  /** The load whose rows are deleted in the transaction that loads the new ones. null: none. */
  readonly undo: string | null
}

interface SyncPlan {
  /** Whether the table had no rows, although files were loaded into it. */
  readonly emptied: boolean
  readonly present: number
  readonly changed: FileNames
  readonly vanished: FileNames
}

/** How many there are, and the first of them. */
interface FileNames {
  readonly count: number
  readonly first: readonly { readonly path: string; readonly why: string }[]
}

interface GroupResult {
  readonly files: number
  readonly rows: number
  /** Rows that were left out, because they are before the source's `from`. */
  readonly olderRows: number
  readonly bytesRead: number
  readonly failed: readonly { readonly path: string; readonly code: ErrorCode; readonly message: string }[]
}

/** What a job that succeeded says. */
export interface SourceSyncResult {
  readonly source: string
  /** Files that were loaded. */
  readonly files: number
  readonly rows: number
  readonly olderRows: number
  readonly bytesRead: number
  /** Files that were there already. */
  readonly present: number
  /** Files that do not exist any more: how many, and the first of them. Their rows stay. */
  readonly vanished: number
  readonly vanishedFiles: readonly string[]
}

export interface SyncTools {
  readonly db: Database
  readonly store: OnlineStore
  readonly log?: Logger
  catalog(): Promise<Catalog>
}

const maxGroupFiles = 32
const maxGroupBytes = 64 * 2 ** 20
const maxNames = 5
/** How long transactions that were open before are waited for when rows are deleted, milliseconds. */
const waitMs = 5_000

/** Errors of one file, which do not keep the others from being loaded. */
const ofOneFile: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FILE_UNREADABLE',
  'FILE_CHANGED',
  'COLUMNS_MISMATCH',
  'SOURCE_TYPE_MISMATCH',
  'INVALID_ROW',
])

/**
 * Loads the Parquet files of sources, each once. Any number of workers share the files of a job:
 *
 *     plan: list the files, compare them with those that are loaded
 *     any worker: load files, each in a transaction
 *     finish: say what is wrong
 *
 * A file that changed is an error, reported when all new files are loaded. Its old rows stay unless it is replaced.
 */
export function sourceSyncs(tools: SyncTools): JobKind<SourceSyncSpec, SyncPlan, FileGroup, GroupResult> {
  const { db, store, catalog } = tools
  return {
    name: sourceSyncKind,
    spec: specSchema,
    retries: 5,
    backoffSeconds: { from: 2, to: 60 },
    keepDays: 7,
    scope: () => store.identity(),
    async schedules() {
      return [...(await catalog()).files].flatMap(([source, { schedule }]) =>
        schedule === null
          ? []
          : [{ key: source, subject: source, cron: schedule, spec: { source, replace: 'none', actor: null } as const }],
      )
    },
    async plan({ id, spec }, { signal }) {
      const known = await catalog()
      const { source, files } = filesOf(known, spec.source)
      const listed = await listFiles(source.name, files.patterns)
      const stored = await readStoredFiles(db, source.name)
      const emptied = await isEmptied(db, sourceRelation(source), stored)
      const difference = compareFiles(source, files, listed, stored, emptied)
      const unfinished = await unfinishedUndos(db, source, id)
      if (unfinished.length > 0 || (emptied && spec.replace !== 'none')) await rebuildReaders(tools, known, source, signal)
      await noteUndone(db, unfinished)
      return { plan: { ...planOf(difference), emptied }, chunks: groupsOf(difference, spec.replace) }
    },
    async run({ spec }, { files: changes }, { signal, worker, progress }) {
      const known = await catalog()
      const { source, files } = filesOf(known, spec.source)
      const actor = spec.actor ?? worker
      const done: LoadedFile[] = []
      const failed: GroupResult['failed'][number][] = []
      for (const [at, change] of changes.entries()) {
        signal.throwIfAborted()
        try {
          const loaded = await applyChange(tools, change, { catalog: known, source, files, actor, signal })
          if (loaded !== null) done.push(loaded)
        } catch (error) {
          signal.throwIfAborted()
          if (!(error instanceof LockstepError) || !ofOneFile.has(error.code)) throw error
          failed.push({ path: change.path, code: error.code, message: error.message })
        }
        progress(at + 1, changes.length)
      }
      const sum = (of: (file: LoadedFile) => number): number => done.reduce((all, file) => all + of(file), 0)
      return {
        files: done.length,
        rows: sum(({ rows }) => rows),
        olderRows: sum(({ olderRows }) => olderRows),
        bytesRead: sum(({ bytesRead }) => bytesRead),
        failed,
      }
    },
    async finish({ spec, plan }, results) {
      const { source } = filesOf(await catalog(), spec.source)
      await db.query(`ANALYZE ${sourceRelation(source)}`).catch(() => undefined)
      const failed = results.flatMap((result) => result.failed)
      if (failed.length > 0) throw notLoaded(source.name, failed)
      if (plan.changed.count > 0 && spec.replace === 'none')
        throw plan.emptied ? emptiedTable(source, plan.changed.count) : changedFiles(source.name, plan.changed)
      const sum = (of: (result: GroupResult) => number): number => results.reduce((all, result) => all + of(result), 0)
      return {
        source: source.name,
        files: sum(({ files }) => files),
        rows: sum(({ rows }) => rows),
        olderRows: sum((result) => result.olderRows),
        bytesRead: sum((result) => result.bytesRead),
        present: plan.present,
        vanished: plan.vanished.count,
        vanishedFiles: plan.vanished.first.map(({ path }) => path),
      } satisfies SourceSyncResult
    },
    describe: ({ subject, chunks }, { step, number }) =>
      step === 'chunk' ? `files ${number + 1} of ${chunks} of the source "${subject}"` : `the ${step} of the sync of "${subject}"`,
  }
}

export interface SyncRequest {
  readonly replace: SourceSyncSpec['replace']
  readonly by: Actor
  /** How others call this process: `host:pid`. */
  readonly worker: string
  /** Instead of the kind's. */
  readonly leaseSeconds?: number
}

/**
 * Begins to load the files of a source, or joins the sync that runs.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `USAGE` where no files feed the source; `SOURCE_MISSING` where no view
 *   reads it, so that it has no table
 */
export async function beginSourceSync(
  tools: SyncTools,
  source: string,
  { replace, by, worker, leaseSeconds }: SyncRequest,
): Promise<{ readonly id: number; readonly joined: boolean }> {
  await requireTable(tools.db, filesOf(await tools.catalog(), source).source)
  const spec: SourceSyncSpec = { source, replace, actor: by.actor }
  const scope = await tools.store.identity()
  const submitted = await submitJob(tools.db, sourceSyncs(tools), {
    spec,
    subject: source,
    scope,
    // a sync that replaces nothing is not joined by one that does
    key: replace === 'none' ? source : `${source} ${replace}`,
    worker,
    leaseSeconds,
    async within(transaction) {
      await recordAudit({ kysely: transaction }, by, { action: 'source.sync', subject: source, after: { replace } })
      return true
    },
  })
  if (submitted === null) throw new LockstepError('INTERNAL', `The sync of "${source}" was not submitted.`)
  return submitted
}

/** @returns what was loaded; null: nothing, as another process has loaded the file, or it is only undone */
async function applyChange(
  tools: SyncTools,
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

interface ChangeContext {
  readonly catalog: Catalog
  readonly source: SourceSpec
  readonly files: FilesSpec
  readonly actor: string
  readonly signal: AbortSignal
}

function filesOf(catalog: Catalog, name: string): { readonly source: SourceSpec; readonly files: FilesSpec } {
  const source = catalog.source(name)
  const files = catalog.files.get(name)
  if (files !== undefined) return { source, files }
  throw new LockstepError(
    'USAGE',
    `No files feed the source "${name}". Declare them, as in files: parquetFiles('s3://bucket/folder/'), or load one file with "lockstep ingest".`,
    { details: { source: name } },
  )
}

async function requireTable(db: Database, source: SourceSpec): Promise<void> {
  const [found] = await db.query<{ missing: boolean }>('SELECT to_regclass($1) IS NULL AS missing', [sourceRelation(source)])
  if (found?.missing !== true) return
  throw new LockstepError(
    'SOURCE_MISSING',
    `The source "${source.name}" has no table to load files into, because the types of its key are unknown. Run "lockstep plan", which says what to declare, and then "lockstep apply".`,
    { details: { source: source.name } },
  )
}

/**
 * Loads whose rows are deleted, but whose states nobody rebuilds: the job that replaced them was cancelled or failed,
 * or the process that undid them ended. None while a worker replaces files of the source: it rebuilds the states.
 */
async function unfinishedUndos(db: Database, source: SourceSpec, job: number): Promise<string[]> {
  const found = await db.query<{ id: string }>(
    `SELECT id::text AS id FROM lockstep.ingests
     WHERE source = $1 AND relation = $2 AND undoing_at IS NOT NULL AND undone_at IS NULL AND NOT EXISTS (
       SELECT FROM lockstep.jobs j JOIN lockstep.job_chunks c ON c.job = j.id
       WHERE j.kind = $3 AND j.subject = $1 AND j.id <> $4 AND j.spec->>'replace' <> 'none'
         AND c.state = 'open' AND c.claim IS NOT NULL AND c.claimable_at > clock_timestamp())`,
    [source.name, await qualifiedTable(db, source), sourceSyncKind, job],
  )
  return found.map(({ id }) => id)
}

async function noteUndone({ kysely }: Database, loads: readonly string[]): Promise<void> {
  if (loads.length === 0) return
  await kysely.updateTable('lockstep.ingests').set({ undone_at: new Date() }).where('id', 'in', loads).execute()
}

/** Rows that were deleted from the table are in the states of entities still. */
async function rebuildReaders(
  { db, store, log }: Pick<SyncTools, 'db' | 'store' | 'log'>,
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
  { db, store }: Pick<SyncTools, 'db' | 'store'>,
  catalog: Catalog,
  id: string,
  options: Parameters<typeof replaceIngest>[4],
): Promise<Replacement | null> {
  return (await isDone(db, id)) ? null : await unlessUndone(() => replaceIngest(db, store, catalog, id, options))
}

/** An undo that another attempt has finished is done. */
async function undoLoad(
  { db, store }: Pick<SyncTools, 'db' | 'store'>,
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

function planOf({ present, changed, vanished }: FilesDifference): Omit<SyncPlan, 'emptied'> {
  const names = (all: readonly { readonly path: string; readonly why: string }[]): FileNames => ({
    count: all.length,
    first: all.slice(0, maxNames),
  })
  return {
    present,
    changed: names(changed.map(({ file: { path }, why }) => ({ path, why }))),
    vanished: names(vanished.map(({ path }) => ({ path, why: 'it does not exist any more' }))),
  }
}

/** Groups of up to 32 files and 64 MB. */
function groupsOf({ fresh, changed, vanished }: FilesDifference, replace: SourceSyncSpec['replace']): FileGroup[] {
  const all = [
    ...fresh.map((file): FileChange => ({ path: file.path, load: file, undo: null })),
    ...(replace === 'none' ? [] : changed.map(({ file, stored }): FileChange => ({ path: file.path, load: file, undo: stored.load }))),
    ...(replace === 'vanished' ? vanished.map(({ path, load }): FileChange => ({ path, load: null, undo: load })) : []),
  ]
  const groups: { files: FileChange[] }[] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const change of all) {
    const size = change.load?.bytes ?? 0
    let group = groups.at(-1)
    if (group === undefined || bytes + size > maxGroupBytes || group.files.length >= maxGroupFiles) {
      group = { files: [] }
      groups.push(group)
      bytes = 0
    }
    bytes += size
    group.files.push(change)
  }
  return groups
}

function notLoaded(source: string, failed: GroupResult['failed']): LockstepError {
  const [first] = failed as [GroupResult['failed'][number]]
  const others = failed.length === 1 ? '' : ` ${failed.length - 1} more failed; the details name them.`
  return new LockstepError(
    first.code,
    `A file of the source "${source}" was not loaded: ${first.message}${others} All other files were loaded. Correct ${failed.length === 1 ? 'it' : 'them'} and sync again.`,
    { details: { source, files: failed.slice(0, 100).map(({ path, code }) => ({ path, code })) } },
  )
}

function emptiedTable(source: SourceSpec, files: number): LockstepError {
  const { name } = source
  const table = sourceRelation(source)
  return new LockstepError(
    'FILE_CHANGED',
    `The table ${table} of the source "${name}" has no rows, although ${files} of its files were loaded: they were deleted by hand. To load them again and rebuild the online states: lockstep source sync ${name} --replace`,
    { details: { source: name, table, count: files } },
  )
}

function changedFiles(source: string, { count, first }: FileNames): LockstepError {
  const [{ path, why } = { path: '', why: '' }] = first
  const others = count === 1 ? '' : ` So have ${count - 1} other files.`
  return new LockstepError(
    'FILE_CHANGED',
    `The file "${path}" of the source "${source}" is not what was loaded: ${why}.${others} Its old rows stay, and all new files were loaded. Write new rows to new files; or replace the rows: lockstep source sync ${source} --replace`,
    { details: { source, files: first.map((file) => file.path), count } },
  )
}
