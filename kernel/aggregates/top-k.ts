import type { ColumnType, Scalar } from '../values/value-type.ts'
import type { Aggregate } from './aggregate.ts'
import type { CategoryLimit } from './category-counts.ts'
import { compareCategories, ofCategories } from './category-counts.ts'

/** The `k` most frequent values, most frequent first. Of two equally frequent values, the lesser comes first. */
export function topK(k: number, slot: number, type: ColumnType, limit: CategoryLimit): Aggregate {
  return ofCategories(slot, type, limit, (counts) => maxFrequent(counts, k))
}

function maxFrequent(counts: ReadonlyMap<Scalar, number>, k: number): Scalar[] {
  return [...counts]
    .sort(([a, countOfA], [b, countOfB]) => countOfB - countOfA || compareCategories(a, b))
    .slice(0, k)
    .map(([value]) => value)
}
