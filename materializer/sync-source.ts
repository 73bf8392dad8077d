import { z } from 'zod'
import type { FilesSpec } from '../kernel/files-spec.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ErrorCode } from '../kernel/errors.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { ListedFile } from '../offline/source-files/list-files.ts'
import { listFiles } from '../offline/source-files/list-files.ts'
import { loadSourceFile } from '../offline/source-files/load-source-file.ts'
import type { FilesDifference } from '../offline/source-files/stored-files.ts'
import { compareFiles, readStoredFiles } from '../offline/source-files/stored-files.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Actor } from '../runtime/audit.ts'
import { recordAudit } from '../runtime/audit.ts'
import type { Database } from '../runtime/database.ts'
import { faultPoint } from '../runtime/fault-point.ts'
import type { JobKind } from '../runtime/jobs/job-kind.ts'
import { submitJob } from '../runtime/jobs/submit-job.ts'
import { sourceRelation } from '../runtime/relation.ts'
import { undoIngest } from './undo-ingest.ts'

/** The kind of jobs that load Parquet files into the table of their source. */
export const sourceSyncKind = 'source-sync'

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
  /** The load whose rows are deleted before, once the new file is open. null: none. */
  readonly undo: string | null
}

interface SyncPlan {
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
export function sourceSyncs({ db, store, catalog }: SyncTools): JobKind<SourceSyncSpec, SyncPlan, FileGroup, GroupResult> {
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
    async plan({ spec }) {
      const { source, files } = filesOf(await catalog(), spec.source)
      const listed = await listFiles(source.name, files.patterns)
      const difference = compareFiles(source, files, listed, await readStoredFiles(db, source.name))
      return { plan: planOf(difference), chunks: groupsOf(difference, spec.replace) }
    },
    async run({ spec }, { files: changes }, { signal, worker, progress }) {
      const known = await catalog()
      const { source, files } = filesOf(known, spec.source)
      const actor = spec.actor ?? worker
      let [done, rows, olderRows, bytesRead] = [0, 0, 0, 0]
      const failed: GroupResult['failed'][number][] = []
      for (const [at, { path, load, undo }] of changes.entries()) {
        signal.throwIfAborted()
        const beforeRows = async (): Promise<void> => {
          if (undo !== null) await undoLoad({ db, store }, known, undo, { source: source.name, actor, signal })
        }
        try {
          if (load === null) await beforeRows()
          const loaded = load === null ? null : await loadSourceFile(db, source, files, load, { actor, signal, beforeRows })
          faultPoint('source file: loaded')
          if (loaded !== null) {
            done++
            rows += loaded.rows
            olderRows += loaded.olderRows
            bytesRead += loaded.bytesRead
          }
        } catch (error) {
          signal.throwIfAborted()
          if (!(error instanceof LockstepError) || !ofOneFile.has(error.code)) throw error
          const lost = undo !== null && (await isUndone(db, undo)) ? ' The rows that were loaded from it before are deleted.' : ''
          failed.push({ path, code: error.code, message: `${error.message}${lost}` })
        }
        progress(at + 1, changes.length)
      }
      return { files: done, rows, olderRows, bytesRead, failed }
    },
    async finish({ spec, plan }, results) {
      const { source } = filesOf(await catalog(), spec.source)
      await db.query(`ANALYZE ${sourceRelation(source)}`).catch(() => undefined)
      const failed = results.flatMap((result) => result.failed)
      if (failed.length > 0) throw notLoaded(source.name, failed)
      if (plan.changed.count > 0 && spec.replace === 'none') throw changedFiles(source.name, plan.changed)
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
    `The source "${source.name}" has no table to load files into, because no view reads it. Declare a view of it, and run "lockstep apply".`,
    { details: { source: source.name } },
  )
}

/** An undo that another attempt has finished is done. */
async function undoLoad(
  { db, store }: Pick<SyncTools, 'db' | 'store'>,
  catalog: Catalog,
  id: string,
  { source, actor, signal }: { readonly source: string; readonly actor: string; readonly signal: AbortSignal },
): Promise<void> {
  const load = await db.kysely.selectFrom('lockstep.ingests').select('undone_at').where('id', '=', id).executeTakeFirst()
  if (load === undefined || load.undone_at !== null) return
  try {
    await undoIngest(db, store, catalog, id, { source, by: { actor }, moment: Date.now() * 1000, waitMs, signal })
  } catch (error) {
    // another sync has undone it since the question above
    if (!(error instanceof LockstepError) || error.code !== 'USAGE') throw error
  }
}

/** Whether the rows of a load are deleted, at least. */
async function isUndone({ kysely }: Database, id: string): Promise<boolean> {
  const load = await kysely.selectFrom('lockstep.ingests').select('undoing_at').where('id', '=', id).executeTakeFirst()
  return load === undefined || load.undoing_at !== null
}

function planOf({ present, changed, vanished }: FilesDifference): SyncPlan {
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

function changedFiles(source: string, { count, first }: FileNames): LockstepError {
  const [{ path, why } = { path: '', why: '' }] = first
  const others = count === 1 ? '' : ` So have ${count - 1} other files.`
  return new LockstepError(
    'FILE_CHANGED',
    `The file "${path}" of the source "${source}" is not what was loaded: ${why}.${others} Its old rows stay, and all new files were loaded. Write new rows to new files; or replace the rows: lockstep source sync ${source} --replace`,
    { details: { source, files: first.map((file) => file.path), count } },
  )
}
