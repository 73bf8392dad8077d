import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import { openParquet } from '../files/parquet-reader.ts'
import { ingestFile } from '../ingest/ingest.ts'
import { failedConstraint, qualifiedTable } from '../ingest/ingest-once.ts'
import type { ListedFile } from './list-files.ts'
import { sourceRows } from './source-rows.ts'
import { declaredColumns } from './stored-files.ts'

export interface LoadedFile {
  readonly rows: number
  readonly olderRows: number
  readonly bytesRead: number
}

/**
 * Loads a Parquet file into the table of its source, and notes it in the same transaction.
 *
 * @param actor who loads it: `user@host` or `host:pid`
 * @param before statements of the same transaction, which run first
 * @returns null if another process has loaded a file of that path meanwhile
 * @throws LockstepError `FILE_CHANGED` if it is not the listed content, `FILE_UNREADABLE`, `COLUMNS_MISMATCH`,
 *   `SOURCE_TYPE_MISMATCH`, `INVALID_ROW`, each naming the file; `SOURCE_MISSING`; and what the store throws
 */
export async function loadSourceFile(
  db: Database,
  source: SourceSpec,
  { fromMicros }: Pick<FilesSpec, 'fromMicros'>,
  { path, bytes, etag }: ListedFile,
  { actor, signal, before = [] }: { readonly actor: string; readonly signal: AbortSignal; readonly before?: readonly string[] },
): Promise<LoadedFile | null> {
  const file = sourceRows(source, await openParquet(path, { bytes, etag }), fromMicros)
  const relation = await qualifiedTable(db, source)
  const time = (micros: number | null): string => (micros === null ? 'NULL' : `${sqlText(formatTimestamp(micros))}::timestamptz`)
  const [name, at] = [sqlText(source.name), sqlText(path)]
  const columns = declaredColumns(source).map(sqlText).join(', ')
  const bytesRead = (): number => file.bytesRead?.() ?? 0
  try {
    const { rows } = await ingestFile(db, source, path, {
      file,
      analyze: false,
      signal,
      around: ({ table }) => {
        return {
          // another load of the file waits here for this one, and then fails by the primary key
          before: [
            ...before,
            `INSERT INTO lockstep.source_files (source, path, etag, bytes, columns, from_time)
             VALUES (${name}, ${at}, ${sqlText(etag)}, ${bytes}, ARRAY[${columns}]::text[], ${time(fromMicros)})`,
          ],
          after: (loaded) =>
            `WITH noted AS (
               INSERT INTO lockstep.ingests (source, relation, path, sha256, every, again, key, rows, already, xid, actor)
               VALUES (${name}, ${sqlText(relation ?? table)}, ${at}, '', 1, true, '{}', ${loaded}, 0, pg_current_xact_id(), ${sqlText(actor)})
               RETURNING id
             )
             UPDATE lockstep.source_files SET load = noted.id, rows = ${loaded}, older_rows = ${file.seen.older}, bytes_read = ${bytesRead()},
               min_event = ${time(file.seen.minEvent)}, max_event = ${time(file.seen.maxEvent)}
             FROM noted WHERE source = ${name} AND source_files.path = ${at}`,
          onRows: () => undefined,
        }
      },
    })
    return { rows, olderRows: file.seen.older, bytesRead: bytesRead() }
  } catch (error) {
    if (failedConstraint(error) === 'source_files_pkey') return null
    throw error
  }
}
