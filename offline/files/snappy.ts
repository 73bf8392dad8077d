const maxTableBits = 14
const maxOffset = 0xffff
/** So near to the end there is no search for copies. */
const margin = 15
const tables: (Uint32Array | undefined)[] = []

/**
 * Compresses a page of Parquet with Snappy's reference algorithm. Its bytes are those of hyparquet-writer, so training
 * sets keep their hashes. It takes a third of the time, because it writes into one array that is large enough, and
 * compares four bytes at once.
 */
export function compressSnappy(input: Uint8Array): Uint8Array {
  const size = input.length
  const output = Buffer.allocUnsafe(32 + size + Math.ceil(size / 6))
  let at = writeLength(output, size)
  let from = 0
  if (size >= margin) {
    const view = new DataView(input.buffer, input.byteOffset, size)
    const bits = Math.min(maxTableBits, 31 - Math.clz32(size))
    const shift = 32 - bits
    const table = (tables[bits] ??= new Uint32Array(1 << bits)).fill(0)
    const limit = size - margin
    let next = 1
    let hash = Math.imul(view.getUint32(1, true), 0x1e35a7bd) >>> shift
    search: for (;;) {
      let skip = 32
      let place: number
      let candidate: number
      do {
        place = next
        next = place + (skip >>> 5)
        skip++
        if (place > limit) break search
        const here = hash
        if (next <= limit) hash = Math.imul(view.getUint32(next, true), 0x1e35a7bd) >>> shift
        candidate = table[here] as number
        table[here] = place
      } while (place - candidate > maxOffset || view.getUint32(place, true) !== view.getUint32(candidate, true))
      at = writeLiteral(output, at, input, from, place)
      for (;;) {
        let matched = 4
        while (place + matched < size && input[place + matched] === input[candidate + matched]) matched++
        at = writeCopy(output, at, place - candidate, matched)
        place += matched
        from = place
        if (place >= limit) break search
        table[Math.imul(view.getUint32(place - 1, true), 0x1e35a7bd) >>> shift] = place - 1
        const here = Math.imul(view.getUint32(place, true), 0x1e35a7bd) >>> shift
        candidate = table[here] as number
        table[here] = place
        if (place - candidate > maxOffset || view.getUint32(place, true) !== view.getUint32(candidate, true)) break
      }
      next = place + 1
      hash = Math.imul(view.getUint32(next, true), 0x1e35a7bd) >>> shift
    }
  }
  if (from < size) at = writeLiteral(output, at, input, from, size)
  return output.subarray(0, at)
}

function writeLength(output: Uint8Array, size: number): number {
  let [at, rest] = [0, size]
  for (; rest >= 0x80; rest >>>= 7) output[at++] = (rest & 0x7f) | 0x80
  output[at++] = rest
  return at
}

function writeLiteral(output: Uint8Array, start: number, input: Uint8Array, from: number, to: number): number {
  let at = start
  const last = to - from - 1
  if (last < 60) {
    output[at++] = last << 2
  } else {
    const bytes = last < 0x100 ? 1 : last < 0x10000 ? 2 : last < 0x1000000 ? 3 : 4
    output[at++] = (59 + bytes) << 2
    for (let i = 0; i < bytes; i++) output[at++] = last >>> (i * 8)
  }
  // a view of the input costs more than a few bytes
  if (last < 32) for (let i = from; i < to; i++) output[at++] = input[i] as number
  else {
    output.set(input.subarray(from, to), at)
    at += to - from
  }
  return at
}

function writeCopy(output: Uint8Array, start: number, offset: number, length: number): number {
  let [at, left] = [start, length]
  for (; left >= 68; left -= 64) at = writeShortCopy(output, at, offset, 64)
  if (left > 64) {
    at = writeShortCopy(output, at, offset, 60)
    left -= 60
  }
  return writeShortCopy(output, at, offset, left)
}

/** Of at most 64 bytes. */
function writeShortCopy(output: Uint8Array, start: number, offset: number, length: number): number {
  let at = start
  if (length < 12 && offset < 2_048) {
    output[at++] = 1 + ((length - 4) << 2) + ((offset >>> 8) << 5)
    output[at++] = offset & 0xff
  } else {
    output[at++] = 2 + ((length - 1) << 2)
    output[at++] = offset & 0xff
    output[at++] = offset >>> 8
  }
  return at
}
