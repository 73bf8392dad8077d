import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Database, Snapshot } from '../../runtime/postgres/database.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import type { ListedFile } from './list-files.ts'

/** A file whose rows are in the table of a source. */
export interface StoredFile {
  readonly path: string
  readonly etag: string
  readonly bytes: number
  /** Rows that were loaded. */
  readonly rows: number
  /** Rows that were left out, because they are before the source's `from`. */
  readonly olderRows: number
  /** Bytes that were requested to read it. */
  readonly bytesRead: number
  readonly columns: readonly string[]
  /** The `from` by which it was loaded. */
  readonly from: Date | null
  readonly minEvent: Date | null
  readonly maxEvent: Date | null
  readonly syncedAt: Date
  /** The id of the load, for `undoIngest`. */
  readonly load: string
}

/**
 * @param newest how many of the files that were loaded last, newest first. Default: all, in the order of their paths
 * @param until only files that were loaded by then for the last time
 */
export async function readStoredFiles(
  { kysely }: Pick<Database, 'kysely'>,
  source: string,
  { newest, until }: { readonly newest?: number | undefined; readonly until?: Date | undefined } = {},
): Promise<StoredFile[]> {
  const ofSource = kysely
    .selectFrom('lockstep.source_files')
    .selectAll()
    .where('source', '=', source)
    .$if(until !== undefined, (query) => query.where('synced_at', '<=', until ?? new Date()))
  const found = await (newest === undefined ? ofSource : ofSource.orderBy('synced_at', 'desc').orderBy('path').limit(newest)).execute()
  const files = found.map((row) => ({
    path: row.path,
    etag: row.etag,
    bytes: Number(row.bytes),
    rows: Number(row.rows),
    olderRows: Number(row.older_rows),
    bytesRead: Number(row.bytes_read),
    columns: row.columns,
    from: row.from_time,
    minEvent: row.min_event,
    maxEvent: row.max_event,
    syncedAt: row.synced_at,
    load: row.load,
  }))
  return newest === undefined ? files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))) : files
}

/** How many files were loaded, and the sums of their rows and bytes. @param until as of `readStoredFiles` */
export async function countStoredFiles({ kysely }: Pick<Database, 'kysely'>, source: string, until?: Date) {
  const sums = await kysely
    .selectFrom('lockstep.source_files')
    .where('source', '=', source)
    .$if(until !== undefined, (query) => query.where('synced_at', '<=', until ?? new Date()))
    .select(({ fn }) => [fn.countAll().as('total'), fn.sum('rows').as('rows'), fn.sum('bytes').as('bytes')])
    .executeTakeFirst()
  return { total: Number(sums?.total ?? 0), rows: Number(sums?.rows ?? 0), bytes: Number(sums?.bytes ?? 0) }
}

/** As JSON for commands and answers; times in RFC 3339. */
export function storedFileJson(file: StoredFile) {
  const { path, etag, bytes, rows, olderRows, bytesRead, from, minEvent, maxEvent, syncedAt, load } = file
  const text = (time: Date | null): string | null => time?.toISOString() ?? null
  const times = { from: text(from), minEvent: text(minEvent), maxEvent: text(maxEvent), syncedAt: syncedAt.toISOString() }
  return { path, etag, bytes, rows, olderRows, bytesRead, ...times, load }
}

/** The differences between a table and the files that feed it. */
export interface FilesDifference {
  /** Files that are not in the table yet. */
  readonly fresh: readonly ListedFile[]
  /** Files whose rows in the table are not what the file or the definition says now. */
  readonly changed: readonly ChangedFile[]
  /** Files that do not exist any more. Their rows stay. */
  readonly vanished: readonly StoredFile[]
  readonly present: number
}

/**
 * Whether somebody has emptied a table: it has no rows, although files were loaded into it.
 *
 * @param relation quoted
 */
export async function isEmptied(db: Pick<Database, 'query'>, relation: string, stored: readonly StoredFile[]): Promise<boolean> {
  if (stored.every(({ rows }) => rows === 0)) return false
  const [found] = await db.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ${relation}) AS empty`)
  return found?.empty === true
}

export interface ChangedFile {
  readonly file: ListedFile
  readonly stored: StoredFile
  /** Why, as a clause: `its ETag is now B, not A`. */
  readonly why: string
}

/** @param emptied what `isEmptied` says */
export function compareFiles(
  source: SourceSpec,
  { fromMicros }: Pick<FilesSpec, 'fromMicros'>,
  listed: readonly ListedFile[],
  stored: readonly StoredFile[],
  emptied = false,
): FilesDifference {
  const known = new Map(stored.map((file) => [file.path, file]))
  const fresh: ListedFile[] = []
  const changed: ChangedFile[] = []
  const columns = declaredColumns(source)
  for (const file of listed) {
    const was = known.get(file.path)
    known.delete(file.path)
    if (was === undefined) {
      fresh.push(file)
      continue
    }
    const missing = columns.filter((name) => !was.columns.includes(name))
    const isLater = was.from !== null && (fromMicros === null || fromMicros < was.from.getTime() * 1000)
    if (emptied && was.rows > 0) changed.push({ file, stored: was, why: 'its rows are not in the table any more' })
    else if (was.etag !== file.etag) changed.push({ file, stored: was, why: `its ETag is now ${file.etag}, not ${was.etag}` })
    else if (missing.length > 0) changed.push({ file, stored: was, why: `it was loaded without the column ${quotedNames(missing)}` })
    else if (isLater && was.olderRows > 0)
      changed.push({ file, stored: was, why: `${was.olderRows} of its rows were left out by the previous "from"` })
  }
  return { fresh, changed, vanished: [...known.values()], present: listed.length - fresh.length - changed.length }
}

export function declaredColumns({ key, eventTime, known, columns }: SourceSpec): string[] {
  const names = [...key.map(({ column }) => column), eventTime, ...(known === null ? [] : [known]), ...columns.map(({ name }) => name)]
  return [...new Set(names)]
}

/** The Parquet files of a source that a training set or a batch read. Its manifest keeps them. */
export interface ReadFiles {
  readonly source: string
  readonly files: readonly { readonly path: string; readonly etag: string; readonly rows: number }[]
}

/**
 * The files behind the rows of a service's sources that arrived before a bound, by source.
 *
 * @param db the snapshot that reads the rows, or the database before they are read: a file may be replaced at any time
 * @param xmin `source.xmin` of a manifest
 */
export async function filesRead(db: Pick<Snapshot, 'query'>, service: ServicePlan, xmin: number): Promise<ReadFiles[]> {
  const names = [
    ...new Set(service.uses.flatMap(({ plan: { spec } }) => (spec.source.relation.kind === 'owned' ? [spec.source.name] : []))),
  ]
  if (names.length === 0) return []
  const rows = await db.query<{ source: string; path: string; etag: string; rows: string }>(
    `SELECT source, path, etag, rows::text AS rows FROM lockstep.source_files
     WHERE source IN (${names.map(sqlText).join(', ')}) AND xid < '${xmin}'::xid8`,
  )
  rows.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
  return [...Map.groupBy(rows, ({ source }) => source)].map(([source, files]) => ({
    source,
    files: files.map(({ path, etag, rows: count }) => ({ path, etag, rows: Number(count) })),
  }))
}

/** A sentence for each file that has changed since a training set read it. */
export function filesDifference(was: readonly ReadFiles[], now: readonly ReadFiles[]): string[] {
  return was.flatMap(({ source, files }) => {
    const found = new Map(now.find((each) => each.source === source)?.files.map((file) => [file.path, file]))
    return files.flatMap(({ path, etag }) => {
      const file = found.get(path)
      if (file?.etag === etag) return []
      return file === undefined
        ? [`The rows of the file "${path}" of the source "${source}" were removed or replaced since.`]
        : [`The file "${path}" of the source "${source}" has the ETag ${file.etag}, not ${etag}.`]
    })
  })
}
