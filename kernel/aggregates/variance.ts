import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { ExactSquares } from '../states/exact-squares.ts'
import { ExactSum, ratioToNumber, readBigint, rootToNumber, writeBigint } from '../states/exact-sum.ts'
import type { FoldRow } from '../states/state.ts'
import { varianceBytes } from '../values/sum-bytes.ts'
import type { ValueType } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/** Whether the values are the `population` (divisor n) or a `sample` of it (divisor n - 1). */
export type VarianceOf = 'population' | 'sample'

/**
 * The variance or standard deviation of the non-null values, float64, from exact sums, rounded once. NaN if a value is
 * NaN or infinite. Null without values; for a sample also with one value.
 */
export function variance(which: 'variance' | 'stddev', of: VarianceOf, slot: number, type: ValueType): Aggregate<Accumulator> {
  const lane = `spread:${slot}`
  const greatestBytes = () => varianceBytes(type)
  const round = which === 'variance' ? ratioToNumber : rootToNumber
  const divisor = (count: number): number => (of === 'sample' ? count * (count - 1) : count * count)
  if (type.kind === 'int64') {
    return {
      lane,
      create: () => new IntegerVariance(slot),
      decode: (reader) => IntegerVariance.decode(slot, reader),
      greatestBytes,
      value: (a) => {
        const { count, total, squares } = a as IntegerVariance
        if (count === 0 || divisor(count) === 0) return null
        return round(BigInt(count) * squares - total * total, exactly(count, of))
      },
    }
  }
  return {
    lane,
    create: () => new FloatVariance(slot),
    decode: (reader) => FloatVariance.decode(slot, reader),
    greatestBytes,
    value: (a) => {
      const { count, total, squares } = a as FloatVariance
      if (count === 0 || divisor(count) === 0) return null
      const [integerTotal, integerSquares] = [total.safeInteger(), squares.safeInteger()]
      if (integerTotal !== null && integerSquares !== null) {
        const [left, right] = [count * integerSquares, integerTotal * integerTotal]
        if (which === 'variance' && Math.max(left, right, divisor(count)) <= Number.MAX_SAFE_INTEGER) return (left - right) / divisor(count)
        return round(BigInt(count) * BigInt(integerSquares) - BigInt(integerTotal) ** 2n, exactly(count, of))
      }
      const units = total.units()
      return units === null ? Number.NaN : round(BigInt(count) * squares.units() - units * units, exactly(count, of) << 2148n)
    },
  }
}

function exactly(count: number, of: VarianceOf): bigint {
  const n = BigInt(count)
  return of === 'sample' ? n * (n - 1n) : n * n
}

/** The number of non-null values of a column, their exact sum and that of their squares. */
class FloatVariance implements Accumulator {
  readonly #slot: number
  readonly total: ExactSum
  readonly squares: ExactSquares
  count: number

  constructor(slot: number, count = 0, total = new ExactSum(), squares = new ExactSquares()) {
    this.#slot = slot
    this.count = count
    this.total = total
    this.squares = squares
  }

  static decode(slot: number, reader: ByteReader): FloatVariance {
    return new FloatVariance(slot, reader.uint(), ExactSum.decode(reader), ExactSquares.decode(reader))
  }

  add(row: FoldRow): void {
    const value = row.values[this.#slot] as number | null
    if (value === null) return
    this.count++
    this.total.add(value)
    if (Number.isFinite(value)) this.squares.add(value) // the total counts the others, and the answer is NaN
  }

  merge(other: FloatVariance): void {
    this.count += other.count
    this.total.merge(other.total)
    this.squares.merge(other.squares)
  }

  remove(other: FloatVariance): boolean {
    this.count -= other.count
    this.total.unmerge(other.total)
    this.squares.unmerge(other.squares)
    return true
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.count)
    this.total.encode(writer)
    this.squares.encode(writer)
  }
}

/** The same for int64: the sums are unbounded bigints. */
class IntegerVariance implements Accumulator {
  readonly #slot: number
  count: number
  total: bigint
  squares: bigint

  constructor(slot: number, count = 0, total = 0n, squares = 0n) {
    this.#slot = slot
    this.count = count
    this.total = total
    this.squares = squares
  }

  static decode(slot: number, reader: ByteReader): IntegerVariance {
    return new IntegerVariance(slot, reader.uint(), readBigint(reader), readBigint(reader))
  }

  add(row: FoldRow): void {
    const value = row.values[this.#slot] as bigint | null
    if (value === null) return
    this.count++
    this.total += value
    this.squares += value * value
  }

  merge(other: IntegerVariance): void {
    this.count += other.count
    this.total += other.total
    this.squares += other.squares
  }

  remove(other: IntegerVariance): boolean {
    this.count -= other.count
    this.total -= other.total
    this.squares -= other.squares
    return true
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.count)
    writeBigint(writer, this.total)
    writeBigint(writer, this.squares)
  }
}
