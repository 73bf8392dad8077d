import { ratioToNumber } from '../states/exact-sum.ts'
import type { ValueType } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'
import { ofMoments } from './of-moments.ts'

/** The exact sum of the non-null values divided by their number, rounded once to float64. Null if there are none. */
export function mean(slot: number, type: ValueType): Aggregate<Accumulator> {
  return ofMoments(slot, type, {
    integers: (total, count) => ratioToNumber(total, BigInt(count)),
    floats: (total, count) => total.mean(count),
  })
}
