import type { Column, KeyType, ValueType } from '../values/value-type.ts'

/**
 * A feature view as plain JSON. The registry stores and fingerprints it, and `compileView` turns it into a `ViewPlan`.
 * The order of every array matters.
 */
export interface ViewSpec {
  readonly name: string
  readonly version: number
  readonly entity: EntitySpec
  readonly source: SourceSpec
  readonly availability: Availability
  /** Columns that the transform adds to each source row; empty without a transform. */
  readonly derive: readonly Column[]
  /** Hash of the stored code of the row transform, or null. */
  readonly code: string | null
  readonly features: readonly FeatureSpec[]
}

export interface EntitySpec {
  readonly name: string
  readonly key: readonly Column<KeyType>[]
}

export interface SourceSpec {
  readonly name: string
  readonly relation: SourceRelation
  /** For each part of the entity's key (by the entity's name for it), the source's column. */
  readonly key: readonly { readonly part: string; readonly column: string }[]
  readonly eventTime: string
  /** The column that says when a row could first have been known; null: at its event time. */
  readonly known: string | null
  readonly columns: readonly Column[]
}

export type SourceRelation =
  /** A table that the user created: `flights` or `schema.flights`. */
  | { readonly kind: 'table'; readonly table: string }
  | { readonly kind: 'sql'; readonly sql: string }
  /** A table that `apply` creates in the schema `lockstep_source`, named after the source. */
  | { readonly kind: 'owned' }

/**
 * `continuous`: a row counts from its `visibleAt` on. `schedule`: from the first instant of the cron schedule (UTC) at
 * or after `visibleAt`, plus the delay, as a view that a job refreshes would serve it.
 */
export type Availability =
  | { readonly kind: 'continuous' }
  | { readonly kind: 'schedule'; readonly schedule: string; readonly delayMicros: number }

export type FeatureSpec = LatestFeatureSpec | WindowFeatureSpec | LifetimeFeatureSpec

interface FeatureBase {
  readonly name: string
  readonly type: ValueType
  /** The default for a missing value, in its JSON form (`valueToJson`); null: it stays null. */
  readonly default: JsonValue
  /** A missing value refuses the entity in serving. */
  readonly required: boolean
  /** A bool column: the feature ignores rows where it is not true. Absent: all rows count. */
  readonly where?: string
}

/**
 * The value of `column` in the greatest visible row (of those that `where` takes); null with `OUTSIDE_MAX_AGE` where t
 * - eventTime > ttl.
 */
export interface LatestFeatureSpec extends FeatureBase {
  readonly kind: 'latest'
  readonly column: string
  readonly ttlMicros: number | null
}

export interface AggregateSpec extends FeatureBase, AggregateParameters {
  readonly aggregate: AggregateName
  /** null only for `count` of rows. */
  readonly column: string | null
}

/** The parameters of an aggregate besides its column; absent if it has none. */
export interface AggregateParameters {
  /** For `variance` and `stddev`: divide by n - 1 instead of n. */
  readonly sample?: true
  /** For `quantile`: which one, between 0 and 1, and its maximum relative error. */
  readonly quantile?: number
  readonly error?: number
  /** For `firstN`, `lastN`, `lastDistinctN` and `topK`: the maximum number of values. */
  readonly n?: number
  /** For `topK` and `histogram`: the maximum number of categories. With more the feature fails. */
  readonly cap?: number
}

/** An aggregate over the sawtooth window `[floor(t - window, hop), t]`. */
export interface WindowFeatureSpec extends AggregateSpec {
  readonly kind: 'window'
  readonly windowMicros: number
  readonly hopMicros: number
}

/** An aggregate over all visible rows. */
export interface LifetimeFeatureSpec extends AggregateSpec {
  readonly kind: 'lifetime'
}

export const aggregateNames = [
  'count',
  'sum',
  'mean',
  'min',
  'max',
  'variance',
  'stddev',
  'quantile',
  'distinctCount',
  'first',
  'last',
  'firstN',
  'lastN',
  'lastDistinctN',
  'topK',
  'histogram',
] as const
export type AggregateName = (typeof aggregateNames)[number]
/** Aggregates that count: 0 without rows, never null. */
export type CountName = Extract<AggregateName, 'count' | 'distinctCount'>
/** Aggregates whose result is a list or counts. */
export type ManyName = Extract<AggregateName, 'firstN' | 'lastN' | 'lastDistinctN' | 'topK' | 'histogram'>

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue }

/** `airport_delays@1` */
export type DefinitionId = `${string}@${number}`

export function definitionId(definition: { readonly name: string; readonly version: number }): DefinitionId {
  return `${definition.name}@${definition.version}`
}

/** A time of the source's rows that is set when they are written. */
export interface CursorSpec {
  readonly column: string
  /** How far a run reads back from the greatest time that was seen. */
  readonly overlapMicros: number
  /** How often a run reads all rows. */
  readonly reconcileMicros: number
}

/** The column with the id of an event. A second event with the id of an earlier one is a duplicate. */
export const eventIdColumn = '_event_id'
export const maxEventIdBytes = 512

/** The columns that Lockstep reserves for itself in tables that accept pushed events. */
export const ownedColumnNames: readonly string[] = ['_row', '_xid', eventIdColumn, '_online_only']
