import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { countsBytes, intBytes, uintBytes } from './greatest-bytes.ts'

/** The number of powers of two below the greatest magnitude that have their own buckets: a factor of 10^19. */
const octaves = 64

const bits = new DataView(new ArrayBuffer(8))

/**
 * Counts positive finite numbers in buckets whose width grows with the number. The middle of a bucket is within a
 * relative `error` of every number in it. This is the store of a DDSketch (Masson, Rim and Lee, "DDSketch", 2019) with
 * the linearly interpolated logarithm, which uses only arithmetic that gives the same result on every machine. Numbers
 * more than 2^64 times smaller than the greatest share the lowest bucket. Only the index of the greatest number decides
 * this, so the order of additions and merges does not matter.
 */
export class LogBuckets {
  readonly #perOctave: number
  readonly #span: number
  readonly #counts = new Map<number, number>()
  #total = 0
  #top = Number.NEGATIVE_INFINITY
  #bottom = Number.POSITIVE_INFINITY
  /** The sorted indexes, cached until an index is added or removed. */
  #sorted: readonly number[] | null = null

  constructor(error: number) {
    // Within an octave the index grows linearly, and fastest (compared with the logarithm) at its end. So a bucket with
    // a relative width of 2 * error at the start of the octave is narrow enough.
    this.#perOctave = perOctave(error)
    this.#span = spanOf(error)
  }

  get total(): number {
    return this.#total
  }

  add(x: number): void {
    this.#put(this.#indexOf(x), 1)
  }

  merge(other: LogBuckets): void {
    for (const [index, count] of other.#counts) this.#put(index, count)
  }

  /**
   * Removes a merged sketch. Returns false if numbers share the lowest bucket: then it is unknown which of them remain.
   */
  unmerge(other: LogBuckets): boolean {
    if (other.#total === 0) return true
    if (this.#bottom <= this.#floor()) return false
    for (const [index, count] of other.#counts) {
      const left = (this.#counts.get(index) as number) - count
      if (left > 0) this.#counts.set(index, left)
      else this.#counts.delete(index)
    }
    this.#total -= other.#total
    this.#sorted = null
    this.#top = Number.NEGATIVE_INFINITY
    this.#bottom = Number.POSITIVE_INFINITY
    for (const index of this.#counts.keys()) {
      this.#top = Math.max(this.#top, index)
      this.#bottom = Math.min(this.#bottom, index)
    }
    return true
  }

  /** An approximation of the number with `rank` smaller numbers. `rank` is below `total`. */
  at(rank: number): number {
    this.#sorted ??= [...this.#counts.keys()].sort((a, b) => a - b)
    let below = 0
    for (const index of this.#sorted) {
      below += this.#counts.get(index) as number
      if (below > rank) return this.#middle(index)
    }
    return this.#middle(this.#top)
  }

  /** Writes the number of buckets, then for each bucket its distance from the previous one and its count. */
  encode(writer: ByteWriter): void {
    writer.uint(this.#counts.size)
    let before = 0
    for (const [index, count] of [...this.#counts].sort(([a], [b]) => a - b)) {
      writer.int(index - before)
      writer.uint(count)
      before = index
    }
  }

  static decode(error: number, reader: ByteReader): LogBuckets {
    const buckets = new LogBuckets(error)
    let index = 0
    for (let left = reader.uint(); left > 0; left--) {
      index += reader.int()
      buckets.#put(index, reader.uint())
    }
    return buckets
  }

  /** The lowest index that has its own bucket. */
  #floor(): number {
    return this.#top - this.#span + 1
  }

  #put(index: number, count: number): void {
    this.#total += count
    this.#top = Math.max(this.#top, index)
    const floor = this.#floor()
    if (this.#bottom < floor) this.#collapse(floor)
    const kept = Math.max(index, floor)
    this.#bottom = Math.min(this.#bottom, kept)
    const before = this.#counts.get(kept)
    if (before === undefined) this.#sorted = null
    this.#counts.set(kept, (before ?? 0) + count)
  }

  /** Moves all counts below `floor` into the bucket of `floor`. */
  #collapse(floor: number): void {
    let moved = 0
    for (const [index, count] of this.#counts) {
      if (index >= floor) continue
      this.#counts.delete(index)
      moved += count
    }
    this.#counts.set(floor, (this.#counts.get(floor) ?? 0) + moved)
    this.#bottom = floor
    this.#sorted = null
  }

  #indexOf(x: number): number {
    bits.setFloat64(0, x)
    let exponent = bits.getUint32(0) >>> 20
    let shift = 1023
    if (exponent === 0) {
      bits.setFloat64(0, x * 2 ** 54) // subnormal
      exponent = bits.getUint32(0) >>> 20
      shift += 54
    }
    bits.setUint32(0, (bits.getUint32(0) & 0xfffff) | 0x3ff00000)
    return Math.floor((exponent - shift + (bits.getFloat64(0) - 1)) * this.#perOctave)
  }

  /** The harmonic mean of the bucket's ends, whose relative distance from both is the same. */
  #middle(index: number): number {
    const low = this.#start(index)
    const high = this.#start(index + 1)
    return low * (2 / (1 + low / high))
  }

  #start(index: number): number {
    const position = index / this.#perOctave
    const octave = Math.floor(position)
    if (octave > 1023) return Number.MAX_VALUE
    // Two steps, so that a subnormal number is rounded only once.
    return 2 ** Math.max(octave, -1022) * (1 + (position - octave)) * 2 ** Math.min(0, octave + 1022)
  }
}

function perOctave(error: number): number {
  return 1 / (2 * error)
}

/** The maximum number of separate buckets. */
function spanOf(error: number): number {
  return Math.ceil(octaves * perOctave(error))
}

/**
 * The maximum size of both encodings together, for the numbers above zero and below it. It is reached when all buckets
 * are in use, side by side, far from index 0.
 */
export function logBucketsBytes(error: number): number {
  const span = spanOf(error)
  return 2 * (uintBytes(span) + intBytes(Math.ceil(1075 * perOctave(error))) + span - 1) + countsBytes(2 * span)
}
