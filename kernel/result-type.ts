import type { ColumnType, ScalarType, ValueType } from './values/value-type.ts'
import { isNumeric } from './values/value-type.ts'
import type { AggregateName, FeatureSpec } from './specs/view-spec.ts'
import type { OnDemandFeatureSpec } from './specs/service-spec.ts'

/**
 * The type of an aggregate's value; null if the aggregate does not accept the column's type. `column` is null for a
 * count of rows. Counts are int32. The sum of int64 stays int64 (out of range it is null with status INVALID). Other
 * sums and every mean, variance, stddev and quantile are float64. min and max keep the type of numbers and times; first
 * and last keep any type. firstN and lastN are lists of any scalar type, including nulls. lastDistinctN is
 * such a list without nulls. topK is a list of the column's type, and histogram is counts; both accept texts, bools and
 * integers.
 */
export function aggregateResultType(aggregate: AggregateName, column: ColumnType | null): ValueType | null {
  if (aggregate === 'count') return { kind: 'int32' }
  if (column === null) return null
  switch (aggregate) {
    case 'first':
    case 'last':
      return column
    case 'distinctCount':
      return column.kind === 'vector' ? null : { kind: 'int32' }
    case 'min':
    case 'max':
      return isNumeric(column) || column.kind === 'timestamp' ? column : null
    case 'sum':
      return column.kind === 'int64' ? column : isNumeric(column) ? { kind: 'float64' } : null
    case 'mean':
    case 'variance':
    case 'stddev':
    case 'quantile':
      return isNumeric(column) ? { kind: 'float64' } : null
    case 'firstN':
    case 'lastN':
      return column.kind === 'vector' ? null : { kind: 'list', of: column, nulls: true }
    case 'lastDistinctN':
      return column.kind === 'vector' ? null : { kind: 'list', of: column, nulls: false }
    case 'topK':
      return isCategory(column) ? { kind: 'list', of: column, nulls: false } : null
    case 'histogram':
      return isCategory(column) ? { kind: 'counts' } : null
    default:
      return aggregate satisfies never
  }
}

/** Whether a feature is a number of rows or values, which is never missing. */
export function isCount(feature: object): boolean {
  return 'aggregate' in feature && (feature.aggregate === 'count' || feature.aggregate === 'distinctCount')
}

function isCategory(type: ColumnType): type is ScalarType {
  return type.kind === 'string' || type.kind === 'bool' || type.kind === 'int32' || type.kind === 'int64'
}

/** Whether a value can be null. It cannot if it has a default, is required, or is a count. */
export function isNullable(feature: FeatureSpec | OnDemandFeatureSpec): boolean {
  return !isCount(feature) && feature.default === null && !feature.required
}
