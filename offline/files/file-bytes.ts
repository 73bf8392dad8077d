import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import type { AsyncBuffer } from 'hyparquet'
import { asyncBufferFromFile } from 'hyparquet'
import type { ByteRange, StoredObject } from '../../runtime/storage/object-store.ts'
import { fileChanged, fileMissing, isStoredObject } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'

/** Ranges of an object that are this close are read in one request. */
const maxGapBytes = 1 << 20

/** The content that a file or an object is expected to have. */
export type ExpectedContent = Pick<StoredObject, 'bytes' | 'etag'>

/** A file that is read at any place. */
export interface RangeBuffer extends AsyncBuffer {
  /** The bytes that were requested so far. */
  readonly requested: number
  /** @throws LockstepError `FILE_CHANGED` if the content is not the expected one */
  requireUnchanged(): Promise<void>
  /** Reads these ranges ahead, those near each other together. Earlier ones are forgotten. */
  ahead(ranges: readonly ByteRange[]): Promise<void>
}

/**
 * Opens a file or an object for reading at any place. An object that changes meanwhile is an error (`FILE_CHANGED`).
 *
 * @param expected the content that it must have; absent: it is not checked
 * @throws LockstepError `FILE_UNREADABLE`, `FILE_CHANGED`, and what the store throws
 */
export async function openBuffer(name: string, expected?: ExpectedContent): Promise<RangeBuffer> {
  return bounded(isStoredObject(name) ? await openObject(name, expected) : await openLocal(name, expected))
}

/**
 * Refuses ranges that are not in the file, which a damaged file may name. hyparquet asks for several ranges at once and
 * stops waiting when one fails: an unhandled failure of another one would end the process.
 */
function bounded(buffer: RangeBuffer): RangeBuffer {
  const { byteLength } = buffer
  return {
    byteLength,
    get requested() {
      return buffer.requested
    },
    requireUnchanged: buffer.requireUnchanged,
    slice(from, to = byteLength) {
      const bytes = isRange({ from, to }, byteLength) ? Promise.resolve(buffer.slice(from, to)) : Promise.reject(outside({ from, to }))
      bytes.catch(() => undefined)
      return bytes
    },
    async ahead(ranges) {
      const wrong = ranges.find((range) => !isRange(range, byteLength))
      if (wrong !== undefined) throw outside(wrong)
      await buffer.ahead(ranges)
    },
  }
}

function isRange({ from, to }: ByteRange, byteLength: number): boolean {
  return Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to && to <= byteLength
}

function outside({ from, to }: ByteRange): Error {
  return new Error(`it names the bytes from ${from} to ${to}, which it does not have`)
}

async function openLocal(name: string, expected: ExpectedContent | undefined): Promise<RangeBuffer> {
  const requireUnchanged = async (): Promise<void> => {
    if (expected === undefined) return
    const url = pathToFileURL(name).href
    const found = await (await openObjectStore(url)).head(url)
    if (found === null) throw fileMissing(name)
    if (found.etag !== expected.etag) throw fileChanged(name)
  }
  await requireUnchanged()
  const file = await asyncBufferFromFile(name)
  let requested = 0
  return {
    byteLength: file.byteLength,
    get requested() {
      return requested
    },
    requireUnchanged,
    async slice(from, to = file.byteLength) {
      requested += to - from
      return await file.slice(from, to)
    },
    ahead: () => Promise.resolve(),
  }
}

async function openObject(name: string, expected: ExpectedContent | undefined): Promise<RangeBuffer> {
  const store = await openObjectStore(name)
  const object = expected ?? (await store.head(name))
  if (object === null) throw fileMissing(name)
  const { bytes: byteLength, etag } = object
  let requested = 0
  let held: HeldRange[] = []
  /** The end of the object, which was read for its footer. A small object is in it completely. */
  let tail: HeldRange | null = null
  const isIn = (from: number, to: number, { range }: HeldRange): boolean => range.from <= from && to <= range.to
  const read = async (range: ByteRange): Promise<HeldRange> => {
    requested += range.to - range.from
    return { range, bytes: await store.read(name, range, etag) }
  }
  return {
    byteLength,
    get requested() {
      return requested
    },
    // each read is on the condition that the content is the same
    requireUnchanged: () => Promise.resolve(),
    async slice(from, to = byteLength) {
      const found = [...held, ...(tail === null ? [] : [tail])].find((each) => isIn(from, to, each)) ?? (await read({ from, to }))
      if (to === byteLength && tail === null) tail = found
      return found.bytes.slice(from - found.range.from, to - found.range.from).buffer
    },
    async ahead(ranges) {
      held = []
      const wanted = ranges.filter(({ from, to }) => tail === null || !isIn(from, to, tail))
      held = await Promise.all(mergeRanges(wanted).map(read))
    },
  }
}

interface HeldRange {
  readonly range: ByteRange
  readonly bytes: Uint8Array
}

/** The bytes of a file or an object, in order. */
export function readStream(name: string): Readable {
  if (!isStoredObject(name)) return createReadStream(name, { highWaterMark: 1 << 18 })
  return Readable.from(
    (async function* () {
      yield* (await openObjectStore(name)).stream(name)
    })(),
    { objectMode: false },
  )
}

/** Ranges that cover the given ones, in order. Those with at most `maxGapBytes` between them are one. */
export function mergeRanges(ranges: readonly ByteRange[], maxGap = maxGapBytes): ByteRange[] {
  const merged: ByteRange[] = []
  for (const range of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    if (last !== undefined && range.from - last.to <= maxGap)
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, range.to) }
    else merged.push(range)
  }
  return merged
}
