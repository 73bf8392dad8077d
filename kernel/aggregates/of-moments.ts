import type { ExactSum } from '../exact-sum.ts'
import { momentsBytes } from '../sum-bytes.ts'
import type { ValueType } from '../value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'
import { FloatMoments, IntegerMoments } from './moments.ts'

/**
 * How a value is read from the exact sum of values and their number, which is not 0; undefined where its type cannot
 * hold it.
 */
export interface ReadMoments {
  readonly integers: (total: bigint, count: number) => bigint | number | undefined
  readonly floats: (total: ExactSum, count: number) => number
}

/** An aggregate that is read from a column's moments, in the one lane of all that are. Null where there is no value. */
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
