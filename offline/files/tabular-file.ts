import { extname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/value-type.ts'
import { openCsv } from './csv-reader.ts'
import { openJsonLines } from './jsonl-reader.ts'
import { openParquet } from './parquet-reader.ts'

/**
 * A file of rows with named columns. It holds nothing open: each call of `batches` reads the file from its start and
 * closes it.
 */
export interface TabularFile {
  readonly path: string
  readonly format: 'parquet' | 'csv' | 'jsonl'
  /** In the file's own order. JSON lines: the fields of the first 10,000 rows. */
  readonly columns: readonly FileColumn[]
  /** Number of rows where the file says so (Parquet), else null. */
  readonly rows: number | null
  /**
   * Reads the named columns, in the given order. A name that the file lacks is an error in Parquet and CSV; in JSON
   * lines it is a field that may come later.
   *
   * @throws LockstepError `FILE_UNREADABLE` where the bytes are damaged, `INVALID_ROW` naming file and row where one
   *   row is malformed
   */
  batches(names: readonly string[]): AsyncIterable<FileBatch>
}

export interface FileColumn {
  readonly name: string
  /**
   * What the values appear to be: exact for Parquet, always string for CSV, inferred from the first rows for JSON
   * lines. null where the values are of no type that Lockstep has; the column can be named and passed over, not read.
   */
  readonly type: ColumnType | null
  /** The type in the file's own words, for messages: `INT64`, `CSV text`. */
  readonly described: string
}

/**
 * Consecutive rows, by column. A value is null or undefined where there is none; else boolean, string, array of
 * numbers, or number: whole numbers past 2^53 are bigint. The values of a column of type timestamp are epoch
 * microseconds; decimals are text. The encoder of a COPY (copy-encoder.ts) converts and checks them.
 */
export interface FileBatch {
  /** Number of the first row in the file, from 1 (a header does not count). */
  readonly firstRow: number
  readonly rows: number
  /** By index of the names that were asked for; each has `rows` entries. */
  readonly columns: readonly ArrayLike<unknown>[]
}

/**
 * Opens a Parquet, CSV or JSON lines file by its extension: `.parquet`, `.csv`, `.jsonl` or `.ndjson`.
 *
 * @throws LockstepError `FILE_UNREADABLE` naming the file
 */
export async function openTabularFile(path: string): Promise<TabularFile> {
  switch (extname(path).toLowerCase()) {
    case '.parquet':
      return openParquet(path)
    case '.csv':
      return openCsv(path)
    case '.jsonl':
    case '.ndjson':
      return openJsonLines(path)
    default:
      throw new LockstepError(
        'FILE_UNREADABLE',
        `The file "${path}" has an unknown format. Use a name that ends in .parquet, .csv, .jsonl or .ndjson.`,
      )
  }
}
