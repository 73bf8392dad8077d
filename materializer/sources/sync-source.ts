import { z } from 'zod'
import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ErrorCode } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { listFiles } from '../../offline/source-files/list-files.ts'
import type { LoadedFile } from '../../offline/source-files/load-source-file.ts'
import { compareFiles, isEmptied, readStoredFiles } from '../../offline/source-files/stored-files.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import { sourceRelation } from '../../runtime/postgres/relation.ts'
import type { ChangeTools } from './sync-change.ts'
import { applyChange, noteUndone, rebuildReaders, unfinishedUndos } from './sync-change.ts'
import type { FileGroup, FileNames, SyncPlan } from './sync-plan.ts'
import { groupsOf, planOf, replaceable } from './sync-plan.ts'

/** The kind of jobs that load Parquet files into the table of their source. */
export const sourceSyncKind = 'source-sync' satisfies JobKindName

const specSchema = z.object({
  source: z.string(),
  replace: z.enum(replaceable),
  /** Who asked for it; null: a schedule. */
  actor: z.string().nullable(),
})
export type SourceSyncSpec = z.infer<typeof specSchema>

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

export interface SyncTools extends ChangeTools {
  catalog(): Promise<Catalog>
}

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
      const unfinished = await unfinishedUndos(db, source, { kind: sourceSyncKind, id })
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
