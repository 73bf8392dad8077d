import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { ExactSum, readBigint, skipBigint, toFixed, writeBigint } from './exact-sum.ts'

/** Between these magnitudes a square and its rounding error are both doubles. */
const largest = 2 ** 480
const smallest = 2 ** -480
/** 2^27 + 1: splits a double into two halves of 26 bits, whose products are exact. */
const splitter = 134_217_729

/**
 * The exact sum of the squares of finite doubles, in any order. A square is taken as two doubles: its rounded value
 * and the rounding error (Dekker, "A Floating-Point Technique for Extending the Available Precision", 1971). If one of
 * them would over- or underflow, the square is counted in units of 2^-2148, the smallest square. Each number alone
 * decides which of the two is used, so equal numbers give equal bytes.
 */
export class ExactSquares {
  readonly #sum: ExactSum
  /** The squares of the very large and the very small numbers. */
  #far: bigint

  constructor(sum = new ExactSum(), far = 0n) {
    this.#sum = sum
    this.#far = far
  }

  add(x: number): void {
    const size = Math.abs(x)
    if (size > largest || size < smallest) {
      if (x !== 0) this.#far += toFixed(x) ** 2n
      return
    }
    const square = x * x
    const scaled = splitter * x
    const high = scaled - (scaled - x)
    const low = x - high
    const lost = low * low - (square - high * high - 2 * high * low)
    this.#sum.add(square)
    if (lost !== 0) this.#sum.add(lost)
  }

  merge(other: ExactSquares): void {
    this.#sum.merge(other.#sum)
    this.#far += other.#far
  }

  /** Removes a sum that was merged in. */
  unmerge(other: ExactSquares): void {
    this.#sum.unmerge(other.#sum)
    this.#far -= other.#far
  }

  /** Like `ExactSum.safeInteger`. */
  safeInteger(): number | null {
    return this.#far === 0n ? this.#sum.safeInteger() : null
  }

  /** In units of 2^-2148. */
  units(): bigint {
    return ((this.#sum.units() as bigint) << 1074n) + this.#far
  }

  encode(writer: ByteWriter): void {
    this.#sum.encode(writer)
    writeBigint(writer, this.#far)
  }

  static decode(reader: ByteReader): ExactSquares {
    return new ExactSquares(ExactSum.decode(reader), readBigint(reader))
  }

  /** Moves a reader past an encoded sum. */
  static skip(reader: ByteReader): void {
    ExactSum.skip(reader)
    skipBigint(reader)
  }
}
