import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { defaultHop } from '../../kernel/states/hop.ts'
import { aggregateResultType, isCount } from '../../kernel/result-type.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { Column, ColumnType, ValueType } from '../../kernel/values/value-type.ts'
import { checkValue, show, typeName } from '../../kernel/values/value-type.ts'
import type { AggregateName, FeatureSpec, JsonValue, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { aggregateNames } from '../../kernel/specs/view-spec.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import type { Aggregate } from './aggregate.ts'
import { aggregateParameters } from './aggregate-parameters.ts'
import { manyParameters } from './many-parameters.ts'
import { checkFieldName } from './names.ts'

/** The types that an aggregate accepts, for messages, if they are not only numbers. */
const taken: Partial<Record<AggregateName, string>> = {
  min: 'numbers and timestamps',
  max: 'numbers and timestamps',
  distinctCount: 'all types but vectors',
  firstN: 'all types but vectors',
  lastN: 'all types but vectors',
  lastDistinctN: 'all types but vectors',
  topK: 'strings, bools and integers',
  histogram: 'strings, bools and integers',
}

/** The maximum number of hops in a window. A window keeps about one tile per hop for each entity. */
const maxHops = 10_000

/**
 * Converts one feature of a view to data, and checks it against the columns that it may read: the source's and the
 * derived ones.
 *
 * @throws LockstepError `UNKNOWN_COLUMN`, `INVALID_TYPE`, `INVALID_DURATION`, `INVALID_NAME`, `DEFINITIONS_INVALID`
 *   naming view, feature and column
 */
export function featureSpec(
  view: string,
  name: string,
  aggregate: Aggregate,
  columns: readonly Column[],
  source?: SourceSpec,
): FeatureSpec {
  const what = `feature "${checkFieldName(name, `A feature of view "${view}"`)}" of view "${view}"`
  if (typeof aggregate !== 'object' || aggregate === null || !aggregateNames.includes(aggregate.aggregate)) {
    const given: unknown = typeof aggregate === 'object' && aggregate !== null ? (aggregate.aggregate ?? aggregate) : aggregate
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The ${what} is ${show(given)}.${didYouMean(String(given), aggregateNames)} Write one of ${aggregateNames.join(', ')}, as in mean('delay', '6h').`,
    )
  }
  const columnType = aggregate.column === null ? null : columnTypeOf(aggregate.column, columns, what, source)
  const type = aggregateResultType(aggregate.aggregate, columnType)
  if (type === null) {
    const takes = taken[aggregate.aggregate] ?? 'numbers'
    throw new LockstepError(
      'INVALID_TYPE',
      `The ${what} takes the ${aggregate.aggregate} of column "${aggregate.column}", which is ${columnType === null ? 'absent' : typeName(columnType)}; ${aggregate.aggregate} takes ${takes}.`,
    )
  }
  if (isCount(aggregate) && aggregate.default !== undefined) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The ${what} is a ${aggregate.aggregate} with a default. A count is never missing, so remove the default.`,
    )
  }
  const where =
    aggregate.where === null || aggregate.where === undefined ? {} : { where: whereColumn(aggregate.where, columns, what, source) }
  const base = { name, type, default: statedDefault(type, aggregate.default, what), required: aggregate.required, ...where }
  if (aggregate.window === null && aggregate.aggregate === 'last' && aggregate.column !== null) {
    const ttlMicros = aggregate.ttl === null ? null : parseDuration(aggregate.ttl, `The ttl of ${what}`)
    return Object.freeze({ kind: 'latest', ...base, column: aggregate.column, ttlMicros })
  }
  const fields = {
    ...base,
    ...aggregateParameters(aggregate, what),
    ...manyParameters(aggregate, what),
    aggregate: aggregate.aggregate,
    column: aggregate.column,
  }
  if (aggregate.window === 'lifetime') {
    if (aggregate.hop === null) return Object.freeze({ kind: 'lifetime', ...fields })
    throw new LockstepError(
      'INVALID_DURATION',
      `The ${what} has a hop, "${aggregate.hop}", but covers all time, so it has no end that moves. Remove the hop.`,
    )
  }
  if (aggregate.window === undefined || aggregate.window === null) {
    const call = `${aggregate.aggregate}(${aggregate.column === null ? '' : `'${aggregate.column}', `}`
    throw new LockstepError('INVALID_DURATION', `The ${what} has no window; give one, such as ${call}'6h'), or ${call}'lifetime').`)
  }
  const windowMicros = parseDuration(aggregate.window, `The window of ${what}`)
  const hopMicros = aggregate.hop === null ? defaultHop(windowMicros) : parseDuration(aggregate.hop, `The hop of ${what}`)
  if (hopMicros > windowMicros) {
    throw new LockstepError(
      'INVALID_DURATION',
      `The hop "${aggregate.hop}" of ${what} is longer than its window "${aggregate.window}". Make it shorter, or remove it.`,
    )
  }
  if (aggregate.hop !== null && windowMicros / hopMicros > maxHops) {
    throw new LockstepError(
      'INVALID_DURATION',
      `The hop "${aggregate.hop}" of ${what} fits more than ${maxHops} times into its window "${aggregate.window}", which would make states too large. Make it longer, or remove it.`,
    )
  }
  return Object.freeze({ kind: 'window', ...fields, windowMicros, hopMicros })
}

/** A default in its JSON form; null if there is none. */
export function statedDefault(type: ValueType, value: unknown, what: string): JsonValue {
  if (value === undefined || value === null) return null
  const checked = checkValue(type, value, `The default of ${what}`)
  if (checked instanceof Float32Array && !checked.every(Number.isFinite)) {
    throw new LockstepError('INVALID_TYPE', `The default of ${what} is a vector with NaN or an infinity; write finite numbers.`)
  }
  return valueToJson(type, checked)
}

function whereColumn(column: string, columns: readonly Column[], what: string, source: SourceSpec | undefined): string {
  const type = columnTypeOf(column, columns, what, source)
  if (type.kind === 'bool') return column
  throw new LockstepError(
    'INVALID_TYPE',
    `The ${what} uses "${column}" as its condition, which is ${typeName(type)}. Name a bool column, or derive one.`,
  )
}

function columnTypeOf(column: unknown, columns: readonly Column[], what: string, source: SourceSpec | undefined): ColumnType {
  const found = columns.find((c) => c.name === column)
  if (found !== undefined) return found.type
  const names = columns.map((c) => c.name)
  const role = source === undefined ? null : roleOf(column, source)
  if (source !== undefined && role !== null) {
    throw new LockstepError(
      'UNKNOWN_COLUMN',
      `The ${what} reads the column ${show(column)}, which is ${role} of the source "${source.name}" but not listed in its columns. Add it to columns.`,
      { details: { column } },
    )
  }
  throw new LockstepError(
    'UNKNOWN_COLUMN',
    `The ${what} reads the column ${show(column)}, which is neither in its source nor derived.${didYouMean(String(column), names)} There are: ${names.map(show).join(', ') || 'none'}.`,
    { details: { column } },
  )
}

/** The other role that the source gives to a column, if any. */
function roleOf(column: unknown, { key, eventTime, known }: SourceSpec): string | null {
  if (key.some((part) => part.column === column)) return 'a key'
  if (column === eventTime) return 'the event time'
  return column === known ? 'the known time' : null
}
