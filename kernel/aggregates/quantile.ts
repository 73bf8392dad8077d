import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { countBytes, fixedBytes } from '../states/greatest-bytes.ts'
import { LogBuckets, logBucketsBytes } from '../states/log-buckets.ts'
import type { FoldRow } from '../states/state.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/**
 * The `q`-quantile of the non-null values, float64: the value with floor(q * (n - 1)) smaller values, within the
 * relative `error`. Zero and the infinities are exact. NaN if a value is NaN; null if there are no values. Quantiles
 * with the same column and error share a lane.
 */
export function quantile(q: number, error: number, slot: number): Aggregate<QuantileAccumulator> {
  return {
    lane: `quantile:${slot}:${error}`,
    create: () => new QuantileAccumulator(slot, error),
    decode: (reader) => QuantileAccumulator.decode(slot, error, reader),
    value: (accumulator) => accumulator.at(q),
    greatestBytes: () => fixedBytes(1 + logBucketsBytes(error) + 4 * countBytes),
  }
}

class QuantileAccumulator implements Accumulator {
  readonly #slot: number
  readonly #negative: LogBuckets
  readonly #positive: LogBuckets
  #zeros = 0
  #nan = 0
  #plus = 0
  #minus = 0

  constructor(slot: number, error: number, negative = new LogBuckets(error), positive = new LogBuckets(error)) {
    this.#slot = slot
    this.#negative = negative
    this.#positive = positive
  }

  static decode(slot: number, error: number, reader: ByteReader): QuantileAccumulator {
    const specials = reader.byte() === 1
    const accumulator = new QuantileAccumulator(slot, error, LogBuckets.decode(error, reader), LogBuckets.decode(error, reader))
    accumulator.#zeros = reader.uint()
    if (specials) {
      accumulator.#nan = reader.uint()
      accumulator.#plus = reader.uint()
      accumulator.#minus = reader.uint()
    }
    return accumulator
  }

  at(q: number): number | null {
    const total = this.#minus + this.#negative.total + this.#zeros + this.#positive.total + this.#plus
    if (this.#nan > 0) return Number.NaN
    if (total === 0) return null
    let rank = Math.floor(q * (total - 1)) - this.#minus
    if (rank < 0) return Number.NEGATIVE_INFINITY
    if (rank < this.#negative.total) return -this.#negative.at(this.#negative.total - 1 - rank)
    rank -= this.#negative.total
    if (rank < this.#zeros) return 0
    rank -= this.#zeros
    return rank < this.#positive.total ? this.#positive.at(rank) : Number.POSITIVE_INFINITY
  }

  add(row: FoldRow): void {
    const value = row.values[this.#slot] as number | bigint | null
    if (value === null) return
    const x = Number(value)
    if (x === 0) this.#zeros++
    else if (Number.isFinite(x)) (x < 0 ? this.#negative : this.#positive).add(Math.abs(x))
    else if (x !== x) this.#nan++
    else if (x > 0) this.#plus++
    else this.#minus++
  }

  merge(other: QuantileAccumulator): void {
    this.#count(other, 1)
    this.#negative.merge(other.#negative)
    this.#positive.merge(other.#positive)
  }

  remove(other: QuantileAccumulator): boolean {
    this.#count(other, -1)
    return this.#negative.unmerge(other.#negative) && this.#positive.unmerge(other.#positive)
  }

  encode(writer: ByteWriter): void {
    const specials = this.#nan > 0 || this.#plus > 0 || this.#minus > 0
    writer.byte(specials ? 1 : 0)
    this.#negative.encode(writer)
    this.#positive.encode(writer)
    writer.uint(this.#zeros)
    if (!specials) return
    writer.uint(this.#nan)
    writer.uint(this.#plus)
    writer.uint(this.#minus)
  }

  #count(other: QuantileAccumulator, sign: 1 | -1): void {
    this.#zeros += sign * other.#zeros
    this.#nan += sign * other.#nan
    this.#plus += sign * other.#plus
    this.#minus += sign * other.#minus
  }
}
