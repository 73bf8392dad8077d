import type { ByteReader, ByteWriter } from '../values/binary.ts'
import type { GreatestBytes } from '../states/greatest-bytes.ts'
import type { FoldRow } from '../states/state.ts'
import type { Value } from '../values/value-type.ts'

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
   * The value of the feature; null if there is none; undefined if it is outside the range of its type (status INVALID).
   */
  value(accumulator: A): Value | null | undefined
  /** Whether rows with later event times no longer change the value. Absent: they always may. */
  isFull?(accumulator: A): boolean
  /** The maximum size of an accumulator's encoding. @param tie the maximum size of a row's tie-breaker */
  greatestBytes(tie: GreatestBytes): GreatestBytes
}

export interface Accumulator {
  add(row: FoldRow): void
  merge(other: Accumulator): void
  /**
   * Removes an accumulator that was merged in before, if possible.
   *
   * @returns false if it cannot; this accumulator is then invalid and must be rebuilt from the remaining ones
   */
  remove(other: Accumulator): boolean
  encode(writer: ByteWriter): void
}
