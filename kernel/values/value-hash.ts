export type Hashable = boolean | number | bigint | string

const bits = new DataView(new ArrayBuffer(8))

/** The two halves of the last hash that `hashValue` computed. */
export const hash = { high: 0, low: 0 }

/**
 * Writes the 64-bit hash of a canonical value into `hash`. It is the same on every machine. A number's 64 bits are
 * permuted, so no two numbers of a column share a hash. A string is first reduced to 64 bits, from its UTF-8 bytes, by
 * two lanes of MurmurHash3_x86_128 (Appleby, public domain).
 */
export function hashValue(value: Hashable): void {
  switch (typeof value) {
    case 'number':
      bits.setFloat64(0, value !== value ? Number.NaN : value + 0)
      break
    case 'bigint':
      bits.setBigInt64(0, value)
      break
    case 'boolean':
      bits.setFloat64(0, value ? 1 : 0)
      break
    default: {
      const text = Buffer.from(value)
      reduce(text, 0, text.length)
    }
  }
  permute(bits.getUint32(0), bits.getUint32(4))
}

/** Hashes the bytes in [from, to) like a string. */
export function hashBytes(bytes: Buffer, from: number, to: number): void {
  reduce(bytes, from, to)
  permute(bits.getUint32(0), bits.getUint32(4))
}

/** Four rounds of a Feistel network, which maps 64 bits one to one for any inner function. */
function permute(a: number, b: number): void {
  const high = a ^ mix(b ^ 0x9e3779b9)
  const low = b ^ mix(high ^ 0x85ebca6b)
  const high2 = high ^ mix(low ^ 0xc2b2ae35)
  hash.low = (low ^ mix(high2 ^ 0x27d4eb2f)) >>> 0
  hash.high = high2 >>> 0
}

/** MurmurHash3's 32-bit finalizer. */
function mix(x: number): number {
  let h = x
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Reduces the bytes in [from, to) to 64 bits, in `bits`. */
function reduce(bytes: Buffer, from: number, to: number): void {
  let one = 0x239b961b
  let two = 0xab0e9789 | 0
  const length = to - from
  const end = from + (length & ~3)
  for (let at = from; at < end; at += 4) {
    const word = bytes.readInt32LE(at)
    one = Math.imul(rotate(firstLane(one, word), 19) + two, 5) + 0x561ccd1b
    two = Math.imul(rotate(secondLane(two, word), 17) + one, 5) + 0x0bcaa747
  }
  let rest = 0
  for (let at = to - 1; at >= end; at--) rest = (rest << 8) | (bytes[at] as number)
  one = firstLane(one, rest) ^ length
  two = secondLane(two, rest) ^ length
  bits.setInt32(0, one + two)
  bits.setInt32(4, two)
}

function firstLane(lane: number, word: number): number {
  return lane ^ Math.imul(rotate(Math.imul(word, 0x239b961b), 15), 0xab0e9789)
}

function secondLane(lane: number, word: number): number {
  return lane ^ Math.imul(rotate(Math.imul(word, 0xab0e9789), 16), 0x38b34ae5)
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by))
}
