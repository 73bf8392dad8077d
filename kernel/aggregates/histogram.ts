import { compareUtf8 } from '../values/utf8-order.ts'
import type { ColumnType } from '../values/value-type.ts'
import type { Aggregate } from './aggregate.ts'
import type { CategoryLimit } from './category-counts.ts'
import { ofCategories } from './category-counts.ts'

/** The number of occurrences of each value, by its text. */
export function histogram(slot: number, type: ColumnType, limit: CategoryLimit): Aggregate {
  return ofCategories(slot, type, limit, (counts) => {
    const byText = Array.from(counts, ([value, count]) => [String(value), count] as const)
    return new Map(byText.sort(([a], [b]) => compareUtf8(a, b)))
  })
}
