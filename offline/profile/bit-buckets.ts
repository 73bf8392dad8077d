import { createFloatBits } from './float-bits.ts'

/** How many values lie in [from, to). */
export interface Bucket {
  readonly from: number
  readonly to: number
  readonly count: number
}

export interface BitBucketsState {
  readonly zeros: number
  readonly pages: readonly (readonly [index: number, counts: readonly number[]])[]
}

/** The number of fraction bits that separate buckets: each bucket is at most 1/64 of its values wide. */
const fractionBits = 6
const fraction = 1 << fractionBits
const shift = 20 - fractionBits

/**
 * Counts finite doubles in buckets whose edges come from their bits: sign, exponent and the first 6 bits of the
 * fraction (DDSketch with a linearly interpolated logarithm; Masson, Rim and Lee, 2019). The order of values does not
 * matter, nothing is lost or merged, and no logarithm is computed, so the counts are the same everywhere. A column has
 * a page of 64 buckets for each power of two among its values.
 */
export class BitBuckets {
  /** By the first 12 bits of a double. */
  readonly #pages = new Array<Float64Array | null>(4096).fill(null)
  #zeros = 0

  /** Counts a nonzero double, given by its bits. */
  add(high: number, low: number): void {
    // a negative number that is a bucket's lower edge belongs to that bucket, because its magnitude is the bucket's
    // greatest
    const bits = high > 0x7fffffff && low === 0 ? high - 1 : high
    const page = (this.#pages[bits >>> 20] ??= new Float64Array(fraction))
    const slot = (bits >>> shift) & (fraction - 1)
    page[slot] = (page[slot] as number) + 1
  }

  addZeros(count: number): void {
    this.#zeros += count
  }

  /** As plain data: the used pages by their first 12 bits, each with its counts as pairs of slot and count. */
  state(): BitBucketsState {
    const pages = this.#pages.flatMap((page, index): [number, number[]][] => {
      return page === null ? [] : [[index, [...page].flatMap((count, slot) => (count === 0 ? [] : [slot, count]))]]
    })
    return { zeros: this.#zeros, pages }
  }

  /** Adds the counts of another collector. */
  merge({ zeros, pages }: BitBucketsState): void {
    this.#zeros += zeros
    for (const [index, counts] of pages) {
      const page = (this.#pages[index] ??= new Float64Array(fraction))
      for (let i = 0; i < counts.length; i += 2) {
        const slot = counts[i] as number
        page[slot] = (page[slot] as number) + (counts[i + 1] as number)
      }
    }
  }

  /** The nonempty buckets, ascending. */
  buckets(): Bucket[] {
    const negative: Bucket[] = []
    const positive: Bucket[] = []
    for (const [index, page] of this.#pages.entries()) {
      if (page === null) continue
      for (const [slot, count] of page.entries()) {
        if (count === 0) continue
        const first = ((index & 0x7ff) << 20) | (slot << shift)
        const [near, far] = [magnitude(first), magnitude(first + (1 << shift))]
        if (index < 2048) positive.push({ from: near, to: far, count })
        else negative.push({ from: -far, to: 0 - near, count }) // never -0
      }
    }
    const zero = this.#zeros === 0 ? [] : [{ from: 0, to: Number.MIN_VALUE, count: this.#zeros }]
    return [...negative.toReversed(), ...zero, ...positive]
  }
}

const bits = createFloatBits()

/** The positive double of these bits; the greatest double where they are beyond it. */
function magnitude(high: number): number {
  bits.word[bits.high] = high
  bits.word[bits.low] = 0
  return Math.min(bits.value[0] as number, Number.MAX_VALUE)
}
