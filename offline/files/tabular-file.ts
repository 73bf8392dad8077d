import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'

/**
 * A file of rows with named columns. It keeps no file open: each call of `batches` reads the file from its start and
 * closes it.
 */
export interface TabularFile {
  readonly path: string
  readonly format: 'parquet' | 'csv' | 'jsonl'
  /** In the file's own order. JSON lines: the fields of the first 10,000 rows. */
  readonly columns: readonly FileColumn[]
  /** The number of rows where the file states it (Parquet), else null. */
  readonly rows: number | null
  /**
   * Reads the named columns, in the given order. A name that the file lacks is an error in Parquet and CSV; in JSON
   * lines it is a field that may come later.
   *
   * @throws LockstepError `FILE_UNREADABLE` where the bytes are damaged, `INVALID_ROW` naming file and row where one
   *   row is malformed
   * @param oldest rows with an earlier time in that column are not needed. Parquet leaves out row groups without
   *   others, by their statistics; the other formats ignore it
   */
  batches(names: readonly string[], oldest?: OldestRow): AsyncIterable<FileBatch>
  /** The bytes that were requested so far, where the file counts them (Parquet). */
  bytesRead?(): number
}

export interface OldestRow {
  readonly column: string
  /** Epoch microseconds. */
  readonly micros: number
}

export interface FileColumn {
  readonly name: string
  /**
   * The type that the values appear to have: exact for Parquet, always string for CSV, inferred from the first rows for
   * JSON lines. null where Lockstep has no such type; the column can be named and skipped, but not read.
   */
  readonly type: ColumnType | null
  /** The type in the file's own words, for messages: `INT64`, `CSV text`. */
  readonly described: string
  /**
   * Whether the file says that no row has a value, as pandas and Arrow write a column without any. It fits every type.
   */
  readonly empty?: true
}

/**
 * Consecutive rows, by column. A missing value is null or undefined. Other values are boolean, string, array of
 * numbers, or number; whole numbers above 2^53 are bigint. A column of type timestamp has epoch microseconds; decimals
 * are text. The encoder of a COPY (copy-encoder.ts) converts and checks them.
 */
export interface FileBatch {
  /** Number of the first row in the file, from 1 (a header does not count). */
  readonly firstRow: number
  /** The number of each row in the file. Absent: they follow the first. */
  readonly rowNumbers?: readonly number[]
  readonly rows: number
  /** By index of the requested names; each has `rows` entries. */
  readonly columns: readonly ArrayLike<unknown>[]
}

/**
 * Opens a Parquet, CSV or JSON lines file by its extension: `.parquet`, `.csv`, `.jsonl` or `.ndjson`. The file may be
 * an object of a store (`s3://bucket/rows.parquet`). A process loads the readers of the formats that it reads.
 *
 * @throws LockstepError `FILE_UNREADABLE` naming the file, and what an object store throws
 */
export async function openTabularFile(name: string): Promise<TabularFile> {
  const path = name.startsWith('file:') ? absoluteName(name) : name
  switch (extname(path).toLowerCase()) {
    case '.parquet':
      return (await import('./parquet-reader.ts')).openParquet(path)
    case '.csv':
      return (await import('./csv-reader.ts')).openCsv(path)
    case '.jsonl':
    case '.ndjson':
      return (await import('./jsonl-reader.ts')).openJsonLines(path)
    default:
      if ((await stat(path).catch(() => null))?.isDirectory() === true)
        throw new LockstepError('FILE_UNREADABLE', `"${path}" is a folder. Name a file that ends in .parquet, .csv, .jsonl or .ndjson.`)
      throw new LockstepError(
        'FILE_UNREADABLE',
        `The file "${path}" has an unknown format. Use a name that ends in .parquet, .csv, .jsonl or .ndjson.`,
      )
  }
}
