import { LockstepError } from '../errors.ts'
import type { ColumnType } from '../values/value-type.ts'
import type { AggregateSpec, FeatureSpec } from '../specs/view-spec.ts'
import type { Aggregate } from './aggregate.ts'
import { count } from './count.ts'
import { distinctCount } from './distinct-count.ts'
import type { CategoryLimit } from './category-counts.ts'
import { firstLast } from './first-last.ts'
import { firstLastN } from './first-last-n.ts'
import { extreme } from './extreme.ts'
import { histogram } from './histogram.ts'
import { lastDistinctN } from './last-distinct-n.ts'
import { mean } from './mean.ts'
import { quantile } from './quantile.ts'
import { variance } from './variance.ts'
import { sum } from './sum.ts'
import { topK } from './top-k.ts'
import { where } from './where.ts'

/**
 * The aggregate of a feature.
 *
 * @param slot the slot of its column, and `type` the column's type; null for a count of rows
 * @param whereSlot the slot of the bool column that selects the rows; null: all rows
 * @param view the view's name and features, some of which may share their counts
 */
export function aggregateOf(
  feature: AggregateSpec,
  slot: number | null,
  type: ColumnType | null,
  whereSlot: number | null,
  view: { readonly id: string; readonly features: readonly FeatureSpec[] },
): Aggregate {
  const aggregate = overAll(feature, slot, type, view)
  return whereSlot === null ? aggregate : where(whereSlot, aggregate)
}

function overAll(
  feature: AggregateSpec,
  slot: number | null,
  type: ColumnType | null,
  view: { readonly id: string; readonly features: readonly FeatureSpec[] },
): Aggregate {
  if (feature.aggregate === 'count') return count(slot)
  if (slot === null || type === null)
    throw new LockstepError('UNKNOWN_COLUMN', `The feature "${feature.name}" aggregates no column; name one.`)
  switch (feature.aggregate) {
    case 'sum':
      return sum(slot, type)
    case 'mean':
      return mean(slot, type)
    case 'variance':
    case 'stddev':
      return variance(feature.aggregate, feature.sample === true ? 'sample' : 'population', slot, type)
    case 'min':
    case 'max':
      return extreme(feature.aggregate, slot, type)
    case 'first':
    case 'last':
      return firstLast(feature.aggregate, slot, type)
    case 'distinctCount':
      return distinctCount(slot)
    case 'quantile':
      return quantile(feature.quantile as number, feature.error as number, slot)
    case 'firstN':
    case 'lastN':
      return firstLastN(feature.aggregate, feature.n as number, slot, type)
    case 'lastDistinctN':
      return lastDistinctN(feature.n as number, slot, type)
    case 'topK':
      return topK(feature.n as number, slot, type, limitOf(feature, view))
    case 'histogram':
      return histogram(slot, type, limitOf(feature, view))
    default:
      return feature.aggregate satisfies never
  }
}

/** Features of one column share its counts, which are kept up to the greatest of the features' caps. */
function limitOf(
  { name, column, cap = 0 }: AggregateSpec,
  { id, features }: { readonly id: string; readonly features: readonly FeatureSpec[] },
): CategoryLimit {
  const caps = features.map((f) => (f.kind !== 'latest' && f.column === column ? (f.cap ?? 0) : 0))
  return { view: id, feature: name, cap, shared: Math.max(...caps) }
}
