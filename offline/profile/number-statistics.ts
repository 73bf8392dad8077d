import type { Value } from '../../kernel/values/value-type.ts'
import type { BitBucketsState } from './bit-buckets.ts'
import { BitBuckets } from './bit-buckets.ts'
import type { BitMomentsState } from './bit-moments.ts'
import { BitMoments } from './bit-moments.ts'
import { createFloatBits } from './float-bits.ts'
import type { Histogram } from './histogram.ts'
import { histogramOf } from './histogram.ts'
import { quantilesOf } from './quantiles.ts'

/** Statistics of a column of numbers. All but the first three describe its finite values. */
export interface NumberStatistics {
  readonly nan: number
  readonly positiveInfinity: number
  readonly negativeInfinity: number
  readonly mean: number | null
  /** Of a sample (n - 1). */
  readonly stddev: number | null
  /** An int64 is text where a double would change it. */
  readonly min: number | string | null
  readonly max: number | string | null
  /** By share, `0.5` is the median; accurate to 1/128 of the value. */
  readonly quantiles: Readonly<Record<string, number>>
  readonly histogram: Histogram
}

export interface NumberCountsState {
  readonly buckets: BitBucketsState
  readonly moments: BitMomentsState
  /** The counts of NaN, Infinity and -Infinity. */
  readonly special: readonly [number, number, number]
  /**
   * The least and the greatest value, as text where a number would not be a safe integer; null where there are no
   * finite values.
   */
  readonly range: readonly [min: number | string, max: number | string] | null
}

export class NumberCounts {
  readonly #whole: boolean
  readonly #bits = createFloatBits()
  readonly #buckets = new BitBuckets()
  readonly #moments = new BitMoments()
  #nan = 0
  #plus = 0
  #minus = 0
  #zeros = 0
  #min: number | bigint = Number.POSITIVE_INFINITY
  #max: number | bigint = Number.NEGATIVE_INFINITY

  /** @param whole whether the values are whole numbers */
  constructor(whole: boolean) {
    this.#whole = whole
  }

  /** @returns how many of the values are null */
  update(values: readonly (Value | null)[]): number {
    const { value: double, word, high, low } = this.#bits
    let nulls = 0
    let min = Number.POSITIVE_INFINITY
    let max = Number.NEGATIVE_INFINITY
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number | bigint | null
      if (value === null) {
        nulls++
        continue
      }
      const x = Number(value)
      if (x === 0) {
        this.#zeros++
        continue
      }
      double[0] = x
      const h = word[high] as number
      const l = word[low] as number
      if ((h & 0x7ff00000) === 0x7ff00000) {
        this.#addSpecial(x)
        continue
      }
      this.#buckets.add(h, l)
      if (typeof value === 'bigint' && !Number.isSafeInteger(x)) {
        this.#addBig(value)
        continue
      }
      this.#moments.add(h, l)
      if (x < min) min = x
      if (x > max) max = x
    }
    if (min < this.#min) this.#min = min
    if (max > this.#max) this.#max = max
    return nulls
  }

  result(): NumberStatistics {
    this.#settleZeros()
    const buckets = this.#buckets.buckets()
    const none = buckets.length === 0
    return {
      nan: this.#nan,
      positiveInfinity: this.#plus,
      negativeInfinity: this.#minus,
      mean: this.#moments.mean(),
      stddev: this.#moments.stddev(),
      min: none ? null : exact(this.#min),
      max: none ? null : exact(this.#max),
      quantiles: quantilesOf(buckets, Number(this.#min), Number(this.#max), this.#whole),
      histogram: histogramOf(buckets),
    }
  }

  state(): NumberCountsState {
    this.#settleZeros()
    return {
      buckets: this.#buckets.state(),
      moments: this.#moments.state(),
      special: [this.#nan, this.#plus, this.#minus],
      range: this.#min > this.#max ? null : [exact(this.#min), exact(this.#max)],
    }
  }

  /** Adds the counts of another collector. */
  merge({ buckets, moments, special: [nan, plus, minus], range }: NumberCountsState): void {
    this.#buckets.merge(buckets)
    this.#moments.merge(moments)
    this.#nan += nan
    this.#plus += plus
    this.#minus += minus
    if (range === null) return
    const [min, max] = range.map((value) => (typeof value === 'string' ? BigInt(value) : value)) as [number | bigint, number | bigint]
    if (min < this.#min) this.#min = min
    if (max > this.#max) this.#max = max
  }

  /** Adds a number that no double holds. */
  #addBig(x: bigint): void {
    this.#moments.addWhole(x)
    if (x < this.#min) this.#min = x
    if (x > this.#max) this.#max = x
  }

  #addSpecial(x: number): void {
    if (x !== x) this.#nan++
    else if (x > 0) this.#plus++
    else this.#minus++
  }

  #settleZeros(): void {
    if (this.#zeros === 0) return
    this.#buckets.addZeros(this.#zeros)
    this.#moments.addZeros(this.#zeros)
    this.#zeros = 0
    if (this.#min > 0) this.#min = 0
    if (this.#max < 0) this.#max = 0
  }
}

function exact(value: number | bigint): number | string {
  return typeof value === 'number' || Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
}
