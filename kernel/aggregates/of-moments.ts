import type { ExactSum } from '../states/exact-sum.ts'
import { momentsBytes } from '../values/sum-bytes.ts'
import type { ValueType } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'
import { FloatMoments, IntegerMoments } from './moments.ts'

/**
 * Computes a value from the exact sum of the values and their number, which is not 0. Undefined if the type cannot hold
 * it.
 */
export interface ReadMoments {
  readonly integers: (total: bigint, count: number) => bigint | number | undefined
  readonly floats: (total: ExactSum, count: number) => number
}

/**
 * An aggregate that is computed from a column's moments. All such aggregates of the column share one lane. Null if
 * there is no value.
 */
export function ofMoments(slot: number, type: ValueType, { integers, floats }: ReadMoments): Aggregate<Accumulator> {
  const lane = `moments:${slot}`
  const greatestBytes = () => momentsBytes(type)
  if (type.kind === 'int64') {
    return {
      lane,
      create: () => new IntegerMoments(slot),
      decode: (reader) => IntegerMoments.decode(slot, reader),
      greatestBytes,
      value: (a) => {
        const { total, count } = a as IntegerMoments
        return count === 0 ? null : integers(total, count)
      },
    }
  }
  return {
    lane,
    create: () => new FloatMoments(slot),
    decode: (reader) => FloatMoments.decode(slot, reader),
    greatestBytes,
    value: (a) => {
      const { total, count } = a as FloatMoments
      return count === 0 ? null : floats(total, count)
    },
  }
}
