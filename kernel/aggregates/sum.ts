import type { ValueType } from '../value-type.ts'
import { fitsInt64 } from '../value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'
import { FloatMoments, IntegerMoments } from './moments.ts'

/** The exact sum of the non-null values, rounded once; of int64 an int64. Null for none. */
export function sum(slot: number, type: ValueType): Aggregate<Accumulator> {
  const lane = `moments:${slot}`
  if (type.kind === 'int64') {
    return {
      lane,
      create: () => new IntegerMoments(slot),
      decode: (reader) => IntegerMoments.decode(slot, reader),
      value: (a) => {
        const { total, count } = a as IntegerMoments
        return count === 0 ? null : fitsInt64(total) ? total : undefined
      },
    }
  }
  return {
    lane,
    create: () => new FloatMoments(slot),
    decode: (reader) => FloatMoments.decode(slot, reader),
    value: (a) => {
      const { total, count } = a as FloatMoments
      return count === 0 ? null : total.value()
    },
  }
}
