import type { FileHandle } from 'node:fs/promises'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ByteReader, ByteWriter } from '../kernel/binary.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { Status, ViewValues } from '../kernel/state.ts'
import type { ValueCodec } from '../kernel/value-codec.ts'
import { valueCodec } from '../kernel/value-codec.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { FeatureSpec } from '../kernel/view-spec.ts'

/** Answers come in the order of keys and are wanted in the order of the spine; meanwhile they wait in a file, sorted into buckets of consecutive ordinals. */
export interface ResultBuckets {
  /** Ordinals from 0 of one bucket: `ordinal` belongs to bucket `floor(ordinal / rowsPerBucket)`. */
  readonly rowsPerBucket: number
  /** Takes the answers to one question under mapping `mapping`. Call `flush` whenever it says true. */
  put(ordinal: number, mapping: number, values: readonly ViewValues[]): boolean
  flush(): Promise<void>
  /** The answers of one bucket. */
  read(bucket: number): Promise<BucketReader>
  close(): Promise<void>
}

export interface BucketReader {
  /** By index of the mapping's plans; null where nothing was put. */
  get(ordinal: number, mapping: number): readonly ViewValues[] | null
}

const bufferedBytes = 32 * 1024 * 1024
const bucketBytes = 64 * 1024 * 1024
const mostRowsPerBucket = 65_536

/**
 * @param mappings for each mapping, the plans whose values are put under it
 * @param folder where the file is made; it has no name there for longer than it takes to open it, so that a killed process leaves nothing
 */
export async function createResultBuckets(mappings: readonly (readonly ViewPlan[])[], folder = tmpdir()): Promise<ResultBuckets> {
  const codecs = mappings.map((plans) => plans.map(valuesCodec))
  const width = mappings.flat().reduce((sum, plan) => sum + 8 + plan.spec.features.reduce((all, feature) => all + bytesOf(feature), 0), 0)
  const rowsPerBucket = Math.max(1_024, Math.min(mostRowsPerBucket, Math.floor(bucketBytes / Math.max(1, width))))
  const file = await openUnnamed(folder)
  const open = new Map<number, ByteWriter>()
  const stored = new Map<number, { readonly at: number; readonly length: number }[]>()
  const answer = new ByteWriter()
  let end = 0
  let buffered = 0

  return {
    rowsPerBucket,
    put(ordinal, mapping, values) {
      const bucket = Math.floor(ordinal / rowsPerBucket)
      let writer = open.get(bucket)
      if (writer === undefined) {
        writer = new ByteWriter(4_096)
        open.set(bucket, writer)
      }
      answer.reset()
      const row = codecs[mapping] as ValuesCodec[]
      for (let i = 0; i < row.length; i++) (row[i] as ValuesCodec).write(answer, values[i] as ViewValues)
      const before = writer.length
      writer.uint(ordinal - bucket * rowsPerBucket)
      writer.uint(mapping)
      writer.blob(answer.view())
      buffered += writer.length - before
      return buffered >= bufferedBytes
    },
    async flush() {
      for (const [bucket, writer] of open) {
        const chunks = stored.get(bucket) ?? []
        chunks.push({ at: end, length: writer.length })
        stored.set(bucket, chunks)
        await writeAll(file, writer.view(), end, folder)
        end += writer.length
      }
      open.clear()
      buffered = 0
    },
    async read(bucket) {
      const chunks = stored.get(bucket) ?? []
      const bytes = Buffer.allocUnsafe(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
      let at = 0
      for (const chunk of chunks) {
        const { bytesRead } = await file.read(bytes, at, chunk.length, chunk.at)
        if (bytesRead !== chunk.length) throw new LockstepError('INTERNAL', `A temporary file in "${folder}" lost what was written to it.`)
        at += chunk.length
      }
      return readBucket(bytes, codecs, rowsPerBucket, bucket * rowsPerBucket)
    },
    async close() {
      await file.close()
    },
  }
}

/** About how many bytes a value takes; of a list or of counts, one of the largest. */
function bytesOf(feature: FeatureSpec): number {
  const { type } = feature
  if (type.kind === 'vector') return 4 * type.length
  if (feature.kind === 'latest') return 12
  return type.kind === 'counts' ? 16 * (feature.cap ?? 1) : 12 * (feature.n ?? 1)
}

/** Keeps the bytes, and where in them each answer stands: objects for all of them at once would be a burden to the garbage collector. */
function readBucket(bytes: Buffer, codecs: readonly (readonly ValuesCodec[])[], rows: number, first: number): BucketReader {
  const places = codecs.map(() => new Int32Array(rows).fill(-1))
  const reader = new ByteReader(bytes)
  while (!reader.done) {
    const row = reader.uint()
    const mapping = reader.uint()
    const { length } = reader.blob()
    ;(places[mapping] as Int32Array)[row] = reader.offset - length
  }
  return {
    get(ordinal, mapping) {
      const at = places[mapping]?.[ordinal - first] ?? -1
      if (at < 0) return null
      const answer = new ByteReader(bytes, at)
      return (codecs[mapping] as ValuesCodec[]).map((codec) => codec.read(answer))
    },
  }
}

interface ValuesCodec {
  write(writer: ByteWriter, values: ViewValues): void
  read(reader: ByteReader): ViewValues
}

function valuesCodec(plan: ViewPlan): ValuesCodec {
  const codecs: readonly ValueCodec[] = plan.features.map((feature) => valueCodec(feature.type))
  return {
    write(writer, { values, statuses, eventTime }) {
      writer.byte(eventTime === null ? 0 : 1)
      if (eventTime !== null) writer.int(eventTime)
      for (let i = 0; i < codecs.length; i++) {
        writer.byte(statuses[i] as Status)
        ;(codecs[i] as ValueCodec).write(writer, values[i] ?? null)
      }
    },
    read(reader) {
      const eventTime = reader.byte() === 0 ? null : reader.int()
      const values = new Array<ViewValues['values'][number]>(codecs.length)
      const statuses = new Array<Status>(codecs.length)
      for (let i = 0; i < codecs.length; i++) {
        statuses[i] = reader.byte() as Status
        values[i] = (codecs[i] as ValueCodec).read(reader)
      }
      return { values, statuses, eventTime }
    },
  }
}

async function openUnnamed(folder: string): Promise<FileHandle> {
  try {
    const own = await mkdtemp(join(folder, 'lockstep-join-'))
    try {
      return await open(join(own, 'results'), 'wx+', 0o600)
    } finally {
      await rm(own, { recursive: true })
    }
  } catch (cause) {
    throw new LockstepError(
      'WRITE_FAILED',
      `No temporary file can be made in "${folder}": ${messageOf(cause)}. Free space there, or set TMPDIR to another folder.`,
      { cause },
    )
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number, folder: string): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
  } catch (cause) {
    throw new LockstepError(
      'WRITE_FAILED',
      `A temporary file in "${folder}" cannot be written: ${messageOf(cause)}. Free space there, or set TMPDIR to another folder.`,
      { cause },
    )
  }
}
