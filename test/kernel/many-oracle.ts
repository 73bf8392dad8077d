import type { Scalar, Value } from '../../kernel/values/value-type.ts'
import type { AggregateSpec } from '../../kernel/specs/view-spec.ts'

/**
 * Aggregates of many values, by their definitions.
 *
 * @param all the values of the window's rows in the total order
 */
export function many({ aggregate, n }: AggregateSpec, all: readonly (Scalar | null)[]): Value | null {
  if (aggregate === 'firstN') return all.length === 0 ? null : all.slice(0, n)
  if (aggregate === 'lastN') return all.length === 0 ? null : all.slice(-(n as number))
  const some = all.filter((v) => v !== null)
  if (some.length === 0) return null
  if (aggregate === 'lastDistinctN') return [...new Set(some.toReversed())].slice(0, n).toReversed()
  const counts = [...new Set(some)].map((value) => ({ value, count: some.filter((v) => v === value).length }))
  if (aggregate === 'topK') {
    return counts
      .sort((a, b) => b.count - a.count || order(a.value, b.value))
      .slice(0, n)
      .map(({ value }) => value)
  }
  return new Map(counts.map(({ value, count }) => [`${value}`, count] as const).sort(([a], [b]) => order(a, b)))
}

function order(a: Scalar, b: Scalar): number {
  return typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(b as string)) : Number(a > b) - Number(a < b)
}
