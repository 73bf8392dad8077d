import type { ValueType } from '../values/value-type.ts'
import { fitsInt64 } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'
import { ofMoments } from './of-moments.ts'

/** The exact sum of the non-null values, rounded once. The sum of int64 is an int64. Null if there are none. */
export function sum(slot: number, type: ValueType): Aggregate<Accumulator> {
  return ofMoments(slot, type, {
    integers: (total) => (fitsInt64(total) ? total : undefined),
    floats: (total) => total.value(),
  })
}
