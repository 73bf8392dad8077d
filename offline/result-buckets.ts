import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { ByteReader, ByteWriter } from '../kernel/values/binary.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ViewValues } from '../kernel/states/state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { FeatureSpec } from '../kernel/specs/view-spec.ts'
import type { AnswerColumns, Answers } from './answers.ts'
import { createAnswers } from './answers.ts'
import { openUnnamed, writeAll } from './unnamed-file.ts'

/**
 * Feature values are computed in the order of keys and needed in the order of the spine. Meanwhile they wait in a file,
 * in buckets of consecutive ordinals.
 */
export interface ResultBuckets extends ResultWriter, ResultReader {}

export interface ResultWriter {
  /** Takes the values of one lookup under mapping `mapping`. Call `flush` when it returns true. */
  put(ordinal: number, mapping: number, values: readonly ViewValues[]): boolean
  flush(): Promise<void>
}

export interface ResultReader {
  /** Ordinals from 0 of one bucket: `ordinal` belongs to bucket `floor(ordinal / rowsPerBucket)`. */
  readonly rowsPerBucket: number
  /** The values of one bucket: by mapping, then by index of the mapping's plans. The next call overwrites them. */
  read(bucket: number): Promise<readonly (readonly AnswerColumns[])[]>
  close(): Promise<void>
}

/** Values that another process has written. */
export interface ResultFile {
  readonly path: string
  readonly chunks: readonly ResultChunk[]
}

/** Values of a bucket, and where they are in the file. */
export interface ResultChunk {
  readonly bucket: number
  readonly at: number
  readonly length: number
}

const bufferedBytes = 8 * 1024 * 1024
const bucketBytes = 8 * 1024 * 1024
const maxRowsPerBucket = 65_536

/**
 * @param mappings for each mapping, its plans
 * @param folder where the file is created. Its name is removed as soon as it is open, so that a killed process leaves
 *   nothing
 */
export async function createResultBuckets(mappings: readonly (readonly ViewPlan[])[], folder = tmpdir()): Promise<ResultBuckets> {
  const layout = layoutOf(mappings)
  const file = await openUnnamed(folder)
  const chunks: ResultChunk[] = []
  return { ...createWriter(layout, file, chunks, folder), ...createReader(layout, [{ file, chunks }], folder) }
}

/**
 * Writes values to a new file for another process.
 *
 * @returns the chunks of the file, complete after the last `flush`
 */
export async function createResultFile(
  mappings: readonly (readonly ViewPlan[])[],
  path: string,
): Promise<ResultWriter & Pick<ResultReader, 'close'> & Pick<ResultFile, 'chunks'>> {
  const file = await open(path, 'wx', 0o600)
  const chunks: ResultChunk[] = []
  return { ...createWriter(layoutOf(mappings), file, chunks, dirname(path)), chunks, close: () => file.close() }
}

/** Reads values that other processes have written, each those of its own lookups. */
export async function openResultFiles(mappings: readonly (readonly ViewPlan[])[], files: readonly ResultFile[]): Promise<ResultReader> {
  const opened: OpenedResults[] = []
  for (const { path, chunks } of files) opened.push({ file: await open(path, 'r'), chunks })
  return createReader(layoutOf(mappings), opened, tmpdir())
}

interface OpenedResults {
  readonly file: FileHandle
  readonly chunks: readonly ResultChunk[]
}

interface Layout {
  readonly rowsPerBucket: number
  readonly columns: readonly (readonly Answers[])[]
}

function layoutOf(mappings: readonly (readonly ViewPlan[])[]): Layout {
  const width = mappings.flat().reduce((sum, plan) => sum + 8 + plan.spec.features.reduce((all, feature) => all + bytesOf(feature), 0), 0)
  const rowsPerBucket = Math.max(1_024, Math.min(maxRowsPerBucket, Math.floor(bucketBytes / Math.max(1, width))))
  return { rowsPerBucket, columns: mappings.map((plans) => plans.map((plan) => createAnswers(plan, rowsPerBucket))) }
}

function createWriter({ rowsPerBucket, columns }: Layout, file: FileHandle, chunks: ResultChunk[], folder: string): ResultWriter {
  const writers = new Map<number, ByteWriter>()
  let end = 0
  let buffered = 0
  return {
    put(ordinal, mapping, values) {
      const bucket = Math.floor(ordinal / rowsPerBucket)
      let writer = writers.get(bucket)
      if (writer === undefined) {
        writer = new ByteWriter(4_096)
        writers.set(bucket, writer)
      }
      const before = writer.length
      writer.uint(ordinal - bucket * rowsPerBucket)
      writer.uint(mapping)
      const answered = columns[mapping] as readonly Answers[]
      for (let i = 0; i < answered.length; i++) (answered[i] as Answers).write(writer, values[i] as ViewValues)
      buffered += writer.length - before
      return buffered >= bufferedBytes
    },
    async flush() {
      for (const [bucket, writer] of writers) {
        if (writer.length === 0) continue
        chunks.push({ bucket, at: end, length: writer.length })
        await writeAll(file, writer.view(), end, folder)
        end += writer.length
        writer.reset()
      }
      buffered = 0
    },
  }
}

function createReader({ rowsPerBucket, columns }: Layout, opened: readonly OpenedResults[], folder: string): ResultReader {
  /** By bucket; made once all is written. */
  let stored: Map<number, { readonly file: FileHandle; readonly chunk: ResultChunk }[]> | null = null
  return {
    rowsPerBucket,
    async read(bucket) {
      stored ??= Map.groupBy(
        opened.flatMap(({ file, chunks }) => chunks.map((chunk) => ({ file, chunk }))),
        ({ chunk }) => chunk.bucket,
      )
      for (const answered of columns) for (const answers of answered) answers.clear()
      for (const { file, chunk } of stored.get(bucket) ?? []) {
        const bytes = Buffer.allocUnsafe(chunk.length)
        const { bytesRead } = await file.read(bytes, 0, chunk.length, chunk.at)
        if (bytesRead !== chunk.length)
          throw new LockstepError('INTERNAL', `A temporary file in "${folder}" lost its data. Check the disk, and run the command again.`)
        const reader = new ByteReader(bytes)
        while (!reader.done) {
          const row = reader.uint()
          const answered = columns[reader.uint()] as readonly Answers[]
          for (let i = 0; i < answered.length; i++) (answered[i] as Answers).read(reader, row)
        }
      }
      return columns
    },
    async close() {
      for (const { file } of opened) await file.close()
    },
  }
}

/** The approximate size of a value in bytes; for a list or counts, of a large one. */
function bytesOf(feature: FeatureSpec): number {
  const { type } = feature
  if (type.kind === 'vector') return 4 * type.length
  if (feature.kind === 'latest') return 12
  return type.kind === 'counts' ? 16 * (feature.cap ?? 1) : 12 * (feature.n ?? 1)
}
