import { LockstepError } from '../errors.ts'

/**
 * Writes little-endian floats and LEB128 varints into a buffer that grows. Each value has one encoding, so equal values
 * have equal bytes.
 */
export class ByteWriter {
  #bytes: Buffer
  #memory: DataView | null = null
  #at = 0

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity)
  }

  get length(): number {
    return this.#at
  }

  byte(value: number): void {
    this.#need(1)
    this.#bytes[this.#at++] = value
  }

  /** An unsigned integer up to 2^53 - 1. */
  uint(value: number): void {
    this.#need(8)
    if (value < 0x80) {
      this.#bytes[this.#at++] = value
      return
    }
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
  }

  /**
   * A signed safe integer. The lowest bit of the first byte is the sign, and the magnitude follows: doubling the value
   * could exceed 2^53.
   */
  int(value: number): void {
    const negative = value < 0 ? 1 : 0
    const magnitude = negative === 1 ? -value : value
    this.#need(10)
    const low = magnitude % 0x40
    const rest = Math.floor(magnitude / 0x40)
    this.#bytes[this.#at++] = (rest > 0 ? 0x80 : 0) | (low << 1) | negative
    if (rest > 0) this.uint(rest)
  }

  bigint64(value: bigint): void {
    this.#need(8)
    this.#bytes.writeBigInt64LE(value, this.#at)
    this.#at += 8
  }

  float64(value: number): void {
    this.#need(8)
    if (value !== value) {
      // one NaN
      this.#bytes.writeUInt32LE(0, this.#at)
      this.#bytes.writeUInt32LE(0x7ff80000, this.#at + 4)
    } else {
      this.#bytes.writeDoubleLE(value + 0, this.#at)
    }
    this.#at += 8
  }

  float32(value: number): void {
    this.#need(4)
    if (value !== value) this.#bytes.writeUInt32LE(0x7fc00000, this.#at)
    else this.#bytes.writeFloatLE(value + 0, this.#at)
    this.#at += 4
  }

  /** Length in bytes, then UTF-8. */
  string(value: string): void {
    const size = Buffer.byteLength(value)
    this.uint(size)
    this.#need(size)
    this.#bytes.write(value, this.#at, size, 'utf8')
    this.#at += size
  }

  /** Length, then the bytes. */
  blob(value: Uint8Array): void {
    this.uint(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    this.#need(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /**
   * Reserves `size` bytes, which the caller writes through `memory`.
   *
   * @returns the start of the reserved bytes
   */
  skip(size: number): number {
    this.#need(size)
    const at = this.#at
    this.#at += size
    return at
  }

  /** The complete buffer. Any write may replace it. */
  get memory(): DataView {
    const { buffer, byteOffset, length } = this.#bytes
    return (this.#memory ??= new DataView(buffer, byteOffset, length))
  }

  /** The written bytes, without a copy. Do not use the writer afterwards, except after `reset`. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  /** A copy of the written bytes. */
  bytes(): Buffer {
    return Buffer.from(this.view())
  }

  reset(): void {
    this.#at = 0
  }

  #need(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + size))
    grown.set(this.view())
    this.#bytes = grown
    this.#memory = null
  }
}

let lastMemory: DataView = new DataView(new ArrayBuffer(0))

/**
 * A view of the complete underlying buffer. Values that arrive over one connection share a buffer, and creating a view
 * costs more than reading a value.
 */
function memoryOf({ buffer }: Uint8Array): DataView {
  if (lastMemory.buffer !== buffer) lastMemory = new DataView(buffer)
  return lastMemory
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Reads what `ByteWriter` wrote. Throws `STATE_CORRUPT` if the bytes are malformed or end too early. */
export class ByteReader {
  #bytes: Uint8Array
  #memory: DataView | null = null
  #shared: DataView
  #offset: number
  #at: number
  #end: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#shared = memoryOf(bytes)
    this.#offset = bytes.byteOffset
    this.#at = start
    this.#end = end
  }

  /** Continues with these bytes, as a new reader would. */
  over(bytes: Uint8Array, start: number): this {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#memory = null
      this.#shared = memoryOf(bytes)
      this.#offset = bytes.byteOffset
    }
    this.#at = start
    this.#end = bytes.length
    return this
  }

  get offset(): number {
    return this.#at
  }

  get done(): boolean {
    return this.#at >= this.#end
  }

  byte(): number {
    this.#need(1)
    return this.#bytes[this.#at++] as number
  }

  uint(): number {
    let scale = 1
    let value = 0
    for (let i = 0; i < 8; i++) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 0x80
    }
    throw corrupt()
  }

  int(): number {
    const first = this.byte()
    const low = (first >> 1) & 0x3f
    const magnitude = first >= 0x80 ? low + this.uint() * 0x40 : low
    return (first & 1) === 1 ? -magnitude : magnitude
  }

  bigint64(): bigint {
    this.#need(8)
    const value = this.#shared.getBigInt64(this.#offset + this.#at, true)
    this.#at += 8
    return value
  }

  /** An int64 as the nearest double. */
  int64AsNumber(): number {
    this.#need(8)
    const at = this.#offset + this.#at
    this.#at += 8
    // both terms are exact, so only the sum is rounded
    return this.#shared.getInt32(at + 4, true) * 2 ** 32 + this.#shared.getUint32(at, true)
  }

  float64(): number {
    this.#need(8)
    const value = this.#shared.getFloat64(this.#offset + this.#at, true)
    this.#at += 8
    return value
  }

  /** Reads consecutive values, and writes each at `at` plus its place. A value with a negative place is skipped. */
  float64sInto(floats: Float32Array | Float64Array, at: number, places: Int32Array, from: number, to: number): void {
    if (to <= from) return
    this.#need(8 * (to - from))
    const shared = this.#shared
    let next = this.#offset + this.#at
    for (let i = from; i < to; i++, next += 8) {
      const place = places[i] as number
      if (place >= 0) floats[at + place] = shared.getFloat64(next, true)
    }
    this.#at = next - this.#offset
  }

  float32(): number {
    this.#need(4)
    const value = this.#shared.getFloat32(this.#offset + this.#at, true)
    this.#at += 4
    return value
  }

  /**
   * Skips `size` bytes, which the caller reads through `memory`.
   *
   * @returns the start of the skipped bytes
   */
  skip(size: number): number {
    this.#need(size)
    const at = this.#at
    this.#at += size
    return at
  }

  /** A byte that was skipped. */
  at(offset: number): number {
    return this.#bytes[offset] as number
  }

  get memory(): DataView {
    const { buffer, byteOffset, length } = this.#bytes
    return (this.#memory ??= new DataView(buffer, byteOffset, length))
  }

  string(): string {
    const size = this.uint()
    this.#need(size)
    const value = bufferOf(this.#bytes).toString('utf8', this.#at, this.#at + size)
    this.#at += size
    return value
  }

  /** A view of the bytes, not a copy. */
  blob(): Buffer {
    const size = this.uint()
    this.#need(size)
    const value = bufferOf(this.#bytes).subarray(this.#at, this.#at + size)
    this.#at += size
    return value
  }

  #need(size: number): void {
    if (this.#at + size > this.#end) throw corrupt()
  }
}

const passing = new ByteReader(Buffer.alloc(0))

/**
 * A shared reader, for callers that finish before anybody else reads. Creating a reader costs as much as reading one or
 * two values.
 */
export function passingReader(bytes: Uint8Array, start: number): ByteReader {
  return passing.over(bytes, start)
}

function corrupt(): LockstepError {
  return new LockstepError('STATE_CORRUPT', 'The stored bytes are truncated or malformed. Materialize the view again to rebuild them.')
}
