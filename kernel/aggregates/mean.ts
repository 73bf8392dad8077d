import { ratioToNumber } from '../exact-sum.ts'
import type { ValueType } from '../value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'
import { FloatMoments, IntegerMoments } from './moments.ts'

/** The exact sum of the non-null values over their number, rounded once to float64. Null for none. Shares its lane with `sum`. */
export function mean(slot: number, type: ValueType): Aggregate<Accumulator> {
  const lane = `moments:${slot}`
  if (type.kind === 'int64') {
    return {
      lane,
      create: () => new IntegerMoments(slot),
      decode: (reader) => IntegerMoments.decode(slot, reader),
      value: (a) => {
        const { total, count } = a as IntegerMoments
        return count === 0 ? null : ratioToNumber(total, BigInt(count))
      },
    }
  }
  return {
    lane,
    create: () => new FloatMoments(slot),
    decode: (reader) => FloatMoments.decode(slot, reader),
    value: (a) => {
      const { total, count } = a as FloatMoments
      return count === 0 ? null : total.mean(count)
    },
  }
}
