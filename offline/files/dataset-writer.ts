import { dirname, extname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { ByteSink } from '../../runtime/files/file-sink.ts'
import { openSink } from '../../runtime/files/open-sink.ts'
import { removeStalePartials } from '../../runtime/files/partial-file.ts'
import type { SealedFile } from '../../runtime/files/place-files.ts'
import { placeFiles } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { createHash } from 'node:crypto'

/** Takes the rows of a training set, in batches. */
export interface DatasetOutput<Sealed = WrittenFile> {
  /**
   * By index of the columns, each an array of the same length.
   *
   * @throws LockstepError `WRITE_FAILED` naming the path; what was written is removed
   */
  write(batch: readonly (readonly (Value | null)[])[]): Promise<void>
  /** Ends the output. `sha256` is the hash of its bytes, hex. */
  seal(): Promise<Sealed>
  /** Removes written files that have no final name yet. It may be called after a failure, and any number of times. */
  abort(): Promise<void>
}

/**
 * A file that is complete on the disk, still under a temporary name. `placeFiles` gives it its final name, together
 * with others; `abort` removes it.
 */
export interface SealedDataset extends SealedFile, WrittenFile {
  abort(): Promise<void>
}

/** Writes one file of typed columns. No file has the final name before `close` has succeeded. */
export interface DatasetWriter extends DatasetOutput<SealedDataset> {
  /** Seals the file, and gives it its name. */
  close(): Promise<WrittenFile>
}

export interface WrittenFile {
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
}

/** Encodes batches as the bytes of a format. */
export interface BatchEncoder {
  write(batch: readonly (readonly (Value | null)[])[]): Uint8Array[]
  finish(): Uint8Array[]
}

export type DatasetFormat = 'parquet' | 'csv' | 'jsonl'

/** A process loads the encoders of the formats that it writes. */
const encoders: Readonly<Record<DatasetFormat, () => Promise<(columns: readonly Column<ValueType>[]) => BatchEncoder>>> = {
  parquet: async () => (await import('./parquet-encoder.ts')).createParquetEncoder,
  csv: async () => (await import('./csv-encoder.ts')).createCsvEncoder,
  jsonl: async () => (await import('./jsonl-encoder.ts')).createJsonLinesEncoder,
}

/**
 * The format for a file's extension.
 *
 * @throws LockstepError `USAGE` unless it is one of .parquet, .csv, .jsonl and .ndjson
 */
export function formatOf(path: string): DatasetFormat {
  switch (extname(path).toLowerCase()) {
    case '.parquet':
      return 'parquet'
    case '.csv':
      return 'csv'
    case '.jsonl':
    case '.ndjson':
      return 'jsonl'
    default:
      throw new LockstepError(
        'USAGE',
        `The file "${path}" has no format that can be written. Use a name that ends in .parquet, .csv or .jsonl.`,
        {
          details: { path },
        },
      )
  }
}

/**
 * Also removes partial files of killed processes from the folder.
 *
 * @throws LockstepError `FILE_EXISTS` naming the path, unless `overwrite`; `WRITE_FAILED` where the folder cannot be
 * written
 */
export async function createDatasetWriter(
  path: string,
  columns: readonly Column<ValueType>[],
  options: { readonly format: DatasetFormat; readonly overwrite?: boolean },
): Promise<DatasetWriter> {
  const { format, overwrite = false } = options
  if (!overwrite) await refuseExisting([path])
  if (!isStoredObject(path)) await removeStalePartials(dirname(path))
  const createEncoder = await encoders[format]()
  const sink = await openSink(path, overwrite)
  const { write, seal, abort } = encodeInto(sink, createEncoder(columns))
  return {
    write,
    seal: async () => ({ ...(await seal()), abort }),
    async close() {
      const { rows, bytes, sha256, ...sealed } = await seal()
      try {
        await placeFiles([sealed], overwrite)
      } catch (error) {
        await abort()
        throw error
      }
      return { rows, bytes, sha256 }
    },
    abort,
  }
}

/** Computes the size and hash of the file without writing it. */
export async function createDatasetDigest(columns: readonly Column<ValueType>[], format: DatasetFormat): Promise<DatasetOutput> {
  const createEncoder = await encoders[format]()
  return encodeInto(createHashSink(), createEncoder(columns))
}

/** Encodes rows into the bytes that a sink takes. */
export async function openOutput<Sealed>(
  sink: ByteSink<Sealed>,
  columns: readonly Column<ValueType>[],
  format: DatasetFormat,
): Promise<DatasetOutput<Sealed & { readonly rows: number }>> {
  const createEncoder = await encoders[format]()
  return encodeInto(sink, createEncoder(columns))
}

function encodeInto<Sealed>(sink: ByteSink<Sealed>, encoder: BatchEncoder): DatasetOutput<Sealed & { readonly rows: number }> {
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
    async seal() {
      await send(() => encoder.finish())
      return { rows, ...(await sink.seal()) }
    },
    abort: () => sink.abort(),
  }
}

/** Keeps only the size and the hash of the bytes. */
function createHashSink(): ByteSink<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  return {
    write(chunk) {
      hash.update(chunk)
      bytes += chunk.length
      return Promise.resolve()
    },
    seal: () => Promise.resolve({ bytes, sha256: hash.digest('hex') }),
    abort: () => Promise.resolve(),
  }
}
