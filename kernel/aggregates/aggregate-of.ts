import { LockstepError } from '../errors.ts'
import type { ColumnType } from '../value-type.ts'
import type { AggregateSpec } from '../view-spec.ts'
import type { Aggregate } from './aggregate.ts'
import { count } from './count.ts'
import { distinctCount } from './distinct-count.ts'
import { edge } from './edge.ts'
import { extreme } from './extreme.ts'
import { mean } from './mean.ts'
import { quantile } from './quantile.ts'
import { spread } from './spread.ts'
import { sum } from './sum.ts'
import { where } from './where.ts'

/**
 * The aggregate of a feature.
 *
 * @param slot of its column, and `type` that column's; null for a count of rows
 * @param whereSlot of the column that says which rows have part; null: all have
 */
export function aggregateOf(feature: AggregateSpec, slot: number | null, type: ColumnType | null, whereSlot: number | null): Aggregate {
  const aggregate = overAll(feature, slot, type)
  return whereSlot === null ? aggregate : where(whereSlot, aggregate)
}

function overAll(feature: AggregateSpec, slot: number | null, type: ColumnType | null): Aggregate {
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
      return spread(feature.aggregate, feature.sample === true ? 'sample' : 'population', slot, type)
    case 'min':
    case 'max':
      return extreme(feature.aggregate, slot, type)
    case 'first':
    case 'last':
      return edge(feature.aggregate, slot, type)
    case 'distinctCount':
      return distinctCount(slot)
    case 'quantile':
      return quantile(feature.quantile as number, feature.error as number, slot)
    default:
      return feature.aggregate satisfies never
  }
}
