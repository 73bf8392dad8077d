import type { Steps } from './steps.ts'
import { inParts, runSteps } from './steps.ts'

/** The indexes of the values, from the least value to the greatest; equal values keep their order. */
export function ascendingOrder(values: ArrayLike<number>): Uint32Array {
  return runSteps(ascendingOrderInSteps(values))
}

/** With fewer values, comparing them is faster. */
const minRadixValues = 1000
/** The bytes of a float64. */
const keyBytes = 8
/** The values of a byte. */
const byteValues = 256

/**
 * As {@link ascendingOrder}. O(n): a radix sort of the bytes of the values, the last one first. It skips bytes that all
 * values share, as of numbers that were float32.
 */
export function* ascendingOrderInSteps(values: ArrayLike<number>): Steps<Uint32Array> {
  const n = values.length
  let order = new Uint32Array(n)
  yield* inParts(n, (from, to) => {
    for (let row = from; row < to; row++) order[row] = row
  })
  if (n < minRadixValues) return order.sort((a, b) => (values[a] as number) - (values[b] as number) || a - b)
  const keys = new DataView(new ArrayBuffer(n * keyBytes))
  const bytes = new Uint8Array(keys.buffer)
  /** By byte and its value. */
  const counts = new Uint32Array(keyBytes * byteValues)
  yield* inParts(n, (from, to) => {
    writeKeys(values, from, to, keys)
    countBytes(bytes, from, to, counts)
  })
  let next = new Uint32Array(n)
  for (let byte = 0; byte < keyBytes; byte++) {
    const starts = counts.subarray(byte * byteValues, (byte + 1) * byteValues)
    if (starts.includes(n)) continue
    let before = 0
    for (const [value, count] of starts.entries()) {
      starts[value] = before
      before += count
    }
    const [sorted, into] = [order, next]
    yield* inParts(n, (from, to) => placeRows(sorted.subarray(from, to), bytes.subarray(byte), starts, into))
    ;[order, next] = [next, order]
  }
  return order
}

/** The key of a value is a whole number of eight bytes, the least first. It rises as the values do. */
function writeKeys(values: ArrayLike<number>, from: number, to: number, keys: DataView): void {
  for (let row = from; row < to; row++) {
    const at = row * keyBytes
    // -0 equals 0
    keys.setFloat64(at, (values[row] as number) + 0, true)
    const high = keys.getInt32(at + 4, true)
    if (high < 0) keys.setInt32(at, ~keys.getInt32(at, true), true)
    keys.setInt32(at + 4, high < 0 ? ~high : high ^ 0x8000_0000, true)
  }
}

function countBytes(bytes: Uint8Array, from: number, to: number, counts: Uint32Array): void {
  for (let at = from * keyBytes; at < to * keyBytes; at++) {
    const place = (at % keyBytes) * byteValues + (bytes[at] as number)
    counts[place] = (counts[place] as number) + 1
  }
}

/** @param bytes of all keys, from the byte on by which rows are placed */
function placeRows(rows: Uint32Array, bytes: Uint8Array, starts: Uint32Array, into: Uint32Array): void {
  for (const row of rows) {
    const value = bytes[row * keyBytes] as number
    const at = starts[value] as number
    into[at] = row
    starts[value] = at + 1
  }
}
