import type { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { CategorySample } from './category-sample.ts'
import { ExactMoments } from './exact-moments.ts'

/** How many counts an encoded column has after those of the statuses. */
const counts = 5

/** The summary of one feature or output in a rollup, without its bins. */
export class ColumnSummary {
  /** Exact, of all rows, by status. */
  readonly statuses = new Float64Array(statusNames.length)
  /** Rows whose values were taken. The counts below are of these. */
  taken = 0
  nulls = 0
  nans = 0
  plusInfinities = 0
  minusInfinities = 0
  /** Moments of finite numbers, and of booleans as 0 and 1. */
  moments = new ExactMoments()
  /** Categories of texts and booleans; null: the column has numbers, or no value was taken. */
  values: CategorySample | null = null

  addNull(): void {
    this.taken++
    this.nulls++
  }

  addNumber(x: number): void {
    this.taken++
    if (x - x === 0) this.moments.add(x)
    else if (x !== x) this.nans++
    else if (x > 0) this.plusInfinities++
    else this.minusInfinities++
  }

  addText(text: string): void {
    this.taken++
    this.values ??= new CategorySample()
    this.values.add(text)
  }

  addBoolean(value: boolean): void {
    this.addText(String(value))
    this.moments.add(value ? 1 : 0)
  }

  /** A value of which only its presence counts: a vector, a list, counts. */
  addOther(): void {
    this.taken++
  }

  merge(other: ColumnSummary): void {
    for (let s = 0; s < this.statuses.length; s++) this.statuses[s] = (this.statuses[s] as number) + (other.statuses[s] as number)
    this.taken += other.taken
    this.nulls += other.nulls
    this.nans += other.nans
    this.plusInfinities += other.plusInfinities
    this.minusInfinities += other.minusInfinities
    this.moments.merge(other.moments)
    if (other.values === null) return
    this.values ??= new CategorySample()
    this.values.merge(other.values)
  }

  encode(writer: ByteWriter): void {
    for (const count of this.statuses) writer.uint(count)
    for (const count of [this.taken, this.nulls, this.nans, this.plusInfinities, this.minusInfinities]) writer.uint(count)
    this.moments.encode(writer)
    writer.byte(this.values === null ? 0 : 1)
    this.values?.encode(writer)
  }

  static decode(reader: ByteReader): ColumnSummary {
    const column = new ColumnSummary()
    for (let s = 0; s < column.statuses.length; s++) column.statuses[s] = reader.uint()
    column.taken = reader.uint()
    column.nulls = reader.uint()
    column.nans = reader.uint()
    column.plusInfinities = reader.uint()
    column.minusInfinities = reader.uint()
    column.moments = ExactMoments.decode(reader)
    if (reader.byte() === 1) column.values = CategorySample.decode(reader)
    return column
  }

  /** Moves a reader past an encoded column: a tenth of the time of decoding it. */
  static skip(reader: ByteReader): void {
    for (let left = statusNames.length + counts; left > 0; left--) reader.uint()
    ExactMoments.skip(reader)
    if (reader.byte() === 1) CategorySample.skip(reader)
  }
}
