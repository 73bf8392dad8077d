import type { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { ExactSquares } from '../../kernel/states/exact-squares.ts'
import { ExactSum, ratioToNumber, rootToNumber } from '../../kernel/states/exact-sum.ts'
import { SumByExponent } from './sum-by-exponent.ts'

/** 2^27 + 1: splits a double into two halves of 26 bits, whose products are exact. */
const splitter = 134_217_729
const [largest, smallest] = [2 ** 480, 2 ** -480]

/**
 * Count, least, greatest, exact sum and exact sum of squares of finite numbers, in any order. Numbers are added to sums
 * by exponent, which cost a few nanoseconds, and these are taken into canonical sums before anybody reads or merges.
 */
export class ExactMoments {
  #count = 0
  #least = Number.POSITIVE_INFINITY
  #greatest = Number.NEGATIVE_INFINITY
  #sum = new ExactSum()
  #squares = new ExactSquares()
  /** null: nothing was added since. Most moments are only decoded and merged. */
  #new: { readonly sum: SumByExponent; readonly squares: SumByExponent } | null = null

  get count(): number {
    return this.#count
  }

  /** @param x finite */
  add(x: number): void {
    this.#count++
    if (x < this.#least) this.#least = x + 0
    if (x > this.#greatest) this.#greatest = x + 0
    this.#new ??= { sum: new SumByExponent(), squares: new SumByExponent() }
    const { sum, squares } = this.#new
    sum.add(x)
    const size = Math.abs(x)
    if (size > largest || size < smallest) {
      if (x !== 0) this.#squares.add(x)
      return
    }
    // as ExactSquares does: the rounded square, and what rounding lost
    const square = x * x
    const scaled = splitter * x
    const high = scaled - (scaled - x)
    const low = x - high
    squares.add(square)
    squares.add(low * low - (square - high * high - 2 * high * low))
  }

  merge(other: ExactMoments): void {
    this.#settle()
    other.#settle()
    this.#count += other.#count
    this.#least = Math.min(this.#least, other.#least)
    this.#greatest = Math.max(this.#greatest, other.#greatest)
    this.#sum.merge(other.#sum)
    this.#squares.merge(other.#squares)
  }

  /**
   * null: there are no numbers. The deviation is that of a sample (n - 1), null for one number. Each is rounded once.
   */
  figures(): { readonly mean: number; readonly deviation: number | null; readonly least: number; readonly greatest: number } | null {
    if (this.#count === 0) return null
    this.#settle()
    const [count, sum] = [BigInt(this.#count), this.#sum.units() ?? 0n]
    // (n Σx² - (Σx)²) / (n (n - 1)), in units of 2^-2148
    const spread = count * this.#squares.units() - sum * sum
    const deviation = this.#count === 1 ? null : rootToNumber(spread, (count * (count - 1n)) << 2148n)
    return { mean: ratioToNumber(sum, count << 1074n), deviation, least: this.#least, greatest: this.#greatest }
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.#count)
    if (this.#count === 0) return
    this.#settle()
    writer.float64(this.#least)
    writer.float64(this.#greatest)
    this.#sum.encode(writer)
    this.#squares.encode(writer)
  }

  static decode(reader: ByteReader): ExactMoments {
    const moments = new ExactMoments()
    moments.#count = reader.uint()
    if (moments.#count === 0) return moments
    moments.#least = reader.float64()
    moments.#greatest = reader.float64()
    moments.#sum = ExactSum.decode(reader)
    moments.#squares = ExactSquares.decode(reader)
    return moments
  }

  /** Moves a reader past encoded moments. */
  static skip(reader: ByteReader): void {
    if (reader.uint() === 0) return
    reader.skip(16)
    ExactSum.skip(reader)
    ExactSquares.skip(reader)
  }

  #settle(): void {
    if (this.#new === null) return
    this.#sum.merge(this.#new.sum.take())
    this.#squares.merge(new ExactSquares(this.#new.squares.take()))
  }
}
