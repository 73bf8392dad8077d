import type { ValueType } from '../value-type.ts'
import { fitsInt64 } from '../value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'
import { ofMoments } from './of-moments.ts'

/** The exact sum of the non-null values, rounded once; of int64 an int64. Null for none. */
export function sum(slot: number, type: ValueType): Aggregate<Accumulator> {
  return ofMoments(slot, type, {
    integers: (total) => (fitsInt64(total) ? total : undefined),
    floats: (total) => total.value(),
  })
}
