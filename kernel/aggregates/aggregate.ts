import type { ByteReader, ByteWriter } from '../binary.ts'
import type { GreatestBytes } from '../greatest-bytes.ts'
import type { FoldRow } from '../state.ts'
import type { Value } from '../value-type.ts'

/**
 * The algebra of a windowed aggregate. Its accumulator is order-free: any order of `add` and any split into partial
 * accumulators that are merged gives the same value and the same bytes.
 */
export interface Aggregate<A extends Accumulator = Accumulator> {
  /** Aggregates of one view with equal lanes share one accumulator per tile. */
  readonly lane: string
  create(): A
  decode(reader: ByteReader): A
  /**
   * The value of the feature; null where there is none; undefined where it is outside its type's range (status
   * INVALID).
   */
  value(accumulator: A): Value | null | undefined
  /** Whether rows with later event times change nothing any more. Absent: they always may. */
  isFull?(accumulator: A): boolean
  /** Of an accumulator's encoding. @param tie of what breaks a row's ties */
  greatestBytes(tie: GreatestBytes): GreatestBytes
}

export interface Accumulator {
  add(row: FoldRow): void
  merge(other: Accumulator): void
  /**
   * Takes out an accumulator that was merged in before, where that can be done.
   *
   * @returns false where it cannot; then this accumulator is worthless and must be rebuilt from what remains
   */
  remove(other: Accumulator): boolean
  encode(writer: ByteWriter): void
}
