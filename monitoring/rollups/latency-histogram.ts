import type { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'

const bucketsPerOctave = 10
const ticksPerMs = 16_000
/** The exponent of the shortest time with an own bucket: 16 ticks, 1 microsecond. */
const firstOctave = 4
/** 2^31 ticks are 134 s. */
const lastOctave = 30
const maxTicks = 2 ** 31 - 1
/** The first bucket counts what is shorter than a microsecond. */
const buckets = 1 + (lastOctave - firstOctave + 1) * bucketsPerOctave
/** Shared by empty histograms, as a series has thousands of them. */
const noCounts = new Float64Array(0)

/**
 * Times from 1 microsecond to 134 seconds in buckets that grow with the time: linear within each power of two, so that
 * the middle of a bucket is within 5 % of every time in it. Longer times count in the last bucket.
 */
export class LatencyHistogram {
  #counts = noCounts
  #count = 0
  #sumMicros = 0

  get count(): number {
    return this.#count
  }

  observe(ms: number): void {
    const ticks = Math.min(ms * ticksPerMs, maxTicks)
    let bucket = 0
    if (ticks >= 2 ** firstOctave) {
      const octave = 31 - Math.clz32(ticks)
      bucket = 1 + (octave - firstOctave) * bucketsPerOctave + Math.floor((ticks / (1 << octave) - 1) * bucketsPerOctave)
    }
    if (this.#count === 0) this.#counts = new Float64Array(buckets)
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#count++
    this.#sumMicros += ticks > 0 ? Math.round(ticks / 16) : 0
  }

  merge(other: LatencyHistogram): void {
    if (other.#count === 0) return
    if (this.#count === 0) this.#counts = new Float64Array(buckets)
    for (let b = 0; b < buckets; b++) this.#counts[b] = (this.#counts[b] as number) + (other.#counts[b] as number)
    this.#count += other.#count
    this.#sumMicros += other.#sumMicros
  }

  /** The time in milliseconds that the share `q` of all times does not exceed, within 5 %; null: there are none. */
  quantile(q: number): number | null {
    if (this.#count === 0) return null
    const rank = Math.max(1, Math.ceil(q * this.#count))
    let below = 0
    let bucket = 0
    for (; bucket < buckets - 1; bucket++) {
      below += this.#counts[bucket] as number
      if (below >= rank) break
    }
    return middleMs(bucket)
  }

  /** Milliseconds, to the microsecond; null: there are none. */
  mean(): number | null {
    return this.#count === 0 ? null : this.#sumMicros / 1000 / this.#count
  }

  /** How many times are certainly longer than `ms`: those of the buckets above its own. */
  countAbove(ms: number): number {
    let count = 0
    for (let b = this.#counts.length - 1; b > 0 && startMs(b) >= ms; b--) count += this.#counts[b] as number
    return count
  }

  /** The buckets that are used, ascending: their ends in milliseconds, and counts. */
  bins(): { readonly from: number[]; readonly to: number[]; readonly counts: number[] } {
    const bins = { from: [] as number[], to: [] as number[], counts: [] as number[] }
    for (const [b, count] of this.#counts.entries()) {
      if (count === 0) continue
      bins.from.push(startMs(b))
      bins.to.push(startMs(b + 1))
      bins.counts.push(count)
    }
    return bins
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.#sumMicros)
    writer.uint(this.#counts.reduce((used, count) => (count > 0 ? used + 1 : used), 0))
    let before = 0
    for (let b = 0; b < this.#counts.length; b++) {
      const count = this.#counts[b] as number
      if (count === 0) continue
      writer.uint(b - before)
      writer.uint(count)
      before = b
    }
  }

  static decode(reader: ByteReader): LatencyHistogram {
    const histogram = new LatencyHistogram()
    histogram.mergeEncoded(reader)
    return histogram
  }

  /** Merges an encoded histogram, without a second one in memory. */
  mergeEncoded(reader: ByteReader): void {
    this.#sumMicros += reader.uint()
    const used = reader.uint()
    if (used > 0 && this.#count === 0) this.#counts = new Float64Array(buckets)
    let bucket = 0
    for (let left = used; left > 0; left--) {
      bucket += reader.uint()
      const count = reader.uint()
      this.#counts[bucket] = (this.#counts[bucket] as number) + count
      this.#count += count
    }
  }
}

function startMs(bucket: number): number {
  if (bucket === 0) return 0
  const octave = Math.floor((bucket - 1) / bucketsPerOctave)
  const position = (bucket - 1) % bucketsPerOctave
  return (2 ** (octave + firstOctave) * (1 + position / bucketsPerOctave)) / ticksPerMs
}

/** The harmonic mean of the bucket's ends, whose relative distance from both is the same. */
function middleMs(bucket: number): number {
  const low = startMs(bucket)
  const high = startMs(bucket + 1)
  return low === 0 ? high : (2 * low * high) / (low + high)
}
