import type { Column, Value } from '../../kernel/value-type.ts'
import { createCsvEncoder } from './csv-encoder.ts'
import { createFileSink } from './file-sink.ts'
import { createParquetEncoder } from './parquet-encoder.ts'

/** Writes one file of typed columns, in batches. Nothing stands under the file's name before `close` has succeeded. */
export interface DatasetWriter {
  /**
   * By index of the columns, each an array of the same length.
   *
   * @throws LockstepError `WRITE_FAILED` naming the path; what was written is removed
   */
  write(batch: readonly (readonly (Value | null)[])[]): Promise<void>
  /** Flushes to disk, and gives the file its name. `sha256` is of the file's bytes, hex. */
  close(): Promise<WrittenFile>
  /** Removes what was written; also after a failure, and any number of times. */
  abort(): Promise<void>
}

export interface WrittenFile {
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
}

/** Turns batches into the bytes of a format. */
export interface BatchEncoder {
  write(batch: readonly (readonly (Value | null)[])[]): Uint8Array[]
  finish(): Uint8Array[]
}

/**
 * @throws LockstepError `FILE_EXISTS` naming the path, unless `overwrite`; `WRITE_FAILED` where the folder cannot be written
 */
export async function createDatasetWriter(
  path: string,
  columns: readonly Column[],
  options: { readonly format: 'parquet' | 'csv'; readonly overwrite?: boolean },
): Promise<DatasetWriter> {
  const sink = await createFileSink(path, { overwrite: options.overwrite ?? false })
  const encoder = options.format === 'parquet' ? createParquetEncoder(columns) : createCsvEncoder(columns)
  let rows = 0

  async function send(encode: () => Uint8Array[]): Promise<void> {
    try {
      for (const bytes of encode()) await sink.write(bytes)
    } catch (error) {
      await sink.abort()
      throw error
    }
  }

  return {
    async write(batch) {
      await send(() => encoder.write(batch))
      rows += batch[0]?.length ?? 0
    },
    async close() {
      await send(() => encoder.finish())
      return { rows, ...(await sink.close()) }
    },
    abort: () => sink.abort(),
  }
}
