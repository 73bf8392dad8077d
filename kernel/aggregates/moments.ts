import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { ExactSum, readBigint, writeBigint } from '../states/exact-sum.ts'
import type { FoldRow } from '../states/state.ts'
import type { Accumulator } from './aggregate.ts'

/** The number of a column's non-null values and their exact sum, from which sum and mean are computed. */
export class FloatMoments implements Accumulator {
  readonly slot: number
  readonly total: ExactSum
  count: number

  constructor(slot: number, count = 0, total = new ExactSum()) {
    this.slot = slot
    this.count = count
    this.total = total
  }

  static decode(slot: number, reader: ByteReader): FloatMoments {
    return new FloatMoments(slot, reader.uint(), ExactSum.decode(reader))
  }

  add(row: FoldRow): void {
    const value = row.values[this.slot] as number | null
    if (value === null) return
    this.count++
    this.total.add(value)
  }

  merge(other: FloatMoments): void {
    this.count += other.count
    this.total.merge(other.total)
  }

  remove(other: FloatMoments): boolean {
    this.count -= other.count
    this.total.unmerge(other.total)
    return true
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.count)
    this.total.encode(writer)
  }
}

/** The same for int64: the total is an unbounded bigint. */
export class IntegerMoments implements Accumulator {
  readonly slot: number
  count: number
  total: bigint

  constructor(slot: number, count = 0, total = 0n) {
    this.slot = slot
    this.count = count
    this.total = total
  }

  static decode(slot: number, reader: ByteReader): IntegerMoments {
    return new IntegerMoments(slot, reader.uint(), readBigint(reader))
  }

  add(row: FoldRow): void {
    const value = row.values[this.slot] as bigint | null
    if (value === null) return
    this.count++
    this.total += value
  }

  merge(other: IntegerMoments): void {
    this.count += other.count
    this.total += other.total
  }

  remove(other: IntegerMoments): boolean {
    this.count -= other.count
    this.total -= other.total
    return true
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.count)
    writeBigint(writer, this.total)
  }
}
