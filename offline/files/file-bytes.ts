import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { AsyncBuffer } from 'hyparquet'
import { asyncBufferFromFile } from 'hyparquet'
import type { ByteRange } from '../../runtime/storage/object-store.ts'
import { fileMissing, isStoredObject } from '../../runtime/storage/object-store.ts'
import { storeOf } from '../../runtime/storage/open-store.ts'

/** Ranges of an object that are this close are read in one request. */
const maxGapBytes = 1 << 20

/** A file that is read at any place. */
export interface RangeBuffer extends AsyncBuffer {
  /** Reads these ranges ahead, those near each other together. Earlier ones are forgotten. */
  ahead(ranges: readonly ByteRange[]): Promise<void>
}

/**
 * Opens a file or an object for reading at any place. An object that changes meanwhile is an error (`FILE_CHANGED`).
 *
 * @throws LockstepError `FILE_UNREADABLE`, and what the store throws
 */
export async function openBuffer(name: string): Promise<RangeBuffer> {
  if (!isStoredObject(name)) return { ...(await asyncBufferFromFile(name)), ahead: () => Promise.resolve() }
  const store = await storeOf(name)
  const object = await store.head(name)
  if (object === null) throw fileMissing(name)
  const { bytes: byteLength, etag } = object
  let held: { readonly range: ByteRange; readonly bytes: Uint8Array }[] = []
  return {
    byteLength,
    async slice(from, to = byteLength) {
      const found = held.find(({ range }) => range.from <= from && to <= range.to)
      const bytes =
        found === undefined
          ? await store.read(name, { from, to }, etag)
          : found.bytes.subarray(from - found.range.from, to - found.range.from)
      return bytes.slice().buffer
    },
    async ahead(ranges) {
      held = []
      held = await Promise.all(mergeRanges(ranges).map(async (range) => ({ range, bytes: await store.read(name, range, etag) })))
    },
  }
}

/** The bytes of a file or an object, in order. */
export function readStream(name: string): Readable {
  if (!isStoredObject(name)) return createReadStream(name, { highWaterMark: 1 << 18 })
  return Readable.from(
    (async function* () {
      yield* (await storeOf(name)).stream(name)
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
