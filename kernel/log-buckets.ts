import type { ByteReader, ByteWriter } from './binary.ts'
import { countsBytes, intBytes, uintBytes } from './greatest-bytes.ts'

/** How many powers of two below the greatest magnitude the buckets keep apart: a factor of 10^19. */
const octaves = 64

const bits = new DataView(new ArrayBuffer(8))

/**
 * Counts of positive finite numbers in buckets whose width grows with the number, so that a bucket's middle is within a
 * relative `error` of all that is in it: the store of a DDSketch (Masson, Rim and Lee, "DDSketch", 2019) with the
 * linearly interpolated logarithm, which takes only arithmetic that is the same on every machine. Numbers more than
 * 2^64 times smaller than the greatest share the lowest bucket. That is decided by the index of the greatest alone, so
 * the order of adding and merging never shows.
 */
export class LogBuckets {
  readonly #perOctave: number
  readonly #span: number
  readonly #counts = new Map<number, number>()
  #total = 0
  #top = Number.NEGATIVE_INFINITY
  #bottom = Number.POSITIVE_INFINITY
  /** The indexes in ascending order, until one comes or goes. */
  #sorted: readonly number[] | null = null

  constructor(error: number) {
    // Within an octave the index grows linearly, fastest (against the logarithm) at its end; a bucket of relative width
    // 2 * error at its start is narrow enough.
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
   * Takes out what was merged in; false where numbers share the lowest bucket, so that it cannot be told which of them
   * remain.
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

  /** About the number of which `rank` are smaller; `rank` is below `total`. */
  at(rank: number): number {
    this.#sorted ??= [...this.#counts.keys()].sort((a, b) => a - b)
    let below = 0
    for (const index of this.#sorted) {
      below += this.#counts.get(index) as number
      if (below > rank) return this.#middle(index)
    }
    return this.#middle(this.#top)
  }

  /** The number of buckets, then each one's distance from the one before and its count. */
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

  /** The lowest index that is kept. */
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

  /** Moves what lies below `floor` into its bucket. */
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

  /** Of the bucket's two ends the harmonic mean, which is relatively as far from the one as from the other. */
  #middle(index: number): number {
    const low = this.#start(index)
    const high = this.#start(index + 1)
    return low * (2 / (1 + low / high))
  }

  #start(index: number): number {
    const position = index / this.#perOctave
    const octave = Math.floor(position)
    if (octave > 1023) return Number.MAX_VALUE
    // In two steps, so that a subnormal number is rounded once.
    return 2 ** Math.max(octave, -1022) * (1 + (position - octave)) * 2 ** Math.min(0, octave + 1022)
  }
}

function perOctave(error: number): number {
  return 1 / (2 * error)
}

/** How many buckets are kept apart. */
function spanOf(error: number): number {
  return Math.ceil(octaves * perOctave(error))
}

/**
 * Of the two encodings of what is above zero and what is below it, at most: all buckets that are kept, side by side,
 * begin far from 0.
 */
export function logBucketsBytes(error: number): number {
  const span = spanOf(error)
  return 2 * (uintBytes(span) + intBytes(Math.ceil(1075 * perOctave(error))) + span - 1) + countsBytes(2 * span)
}
