import type { EntityKey } from './values/entity-key.ts'
import type { Floats } from './states/packed-row.ts'
import type { Status, ViewValues } from './states/state.ts'
import type { Column, KeyType, Value, ValueType } from './values/value-type.ts'
import type { ViewPlan } from './view-plan.ts'
import type { DefinitionId } from './specs/view-spec.ts'

/** One entity of a request, checked and encoded. */
export interface ServedEntity {
  /** By index of the service's `uses`. */
  readonly keys: readonly EntityKey[]
  /** By index of the service's `request`. */
  readonly request: readonly Value[]
}

/**
 * A compiled feature service: which views to read under which keys, and how to compute its features from their values
 * and the request. Training and serving both call `evaluate`; there is no other path. `compileService` makes it.
 */
export interface ServicePlan {
  readonly id: DefinitionId
  readonly name: string
  readonly version: number
  readonly fingerprint: string
  /** The distinct (view, key mapping) pairs to read, inputs of on-demand views included. */
  readonly uses: readonly ViewUse[]
  /** The entity key columns that a spine and a request must have. */
  readonly keys: readonly Column<KeyType>[]
  /** Request values that on-demand views need in addition to the keys. */
  readonly request: readonly Column[]
  /** The service's features, in order. */
  readonly features: readonly ServiceFeature[]
  /**
   * The features that a served row must have: names of required features, and names like `airport_delays@1.lastDelay`
   * for required inputs of on-demand views.
   */
  readonly required: readonly string[]
  /**
   * The location of each feature in the read values, by index of `features`, if no code runs and nothing is required;
   * `evaluate` would only copy them. Else null.
   */
  readonly direct: readonly { /** into `uses` */ readonly use: number; /** into the view's features */ readonly feature: number }[] | null
  /**
   * Computes all features for one entity row.
   *
   * @param read by index of `uses`; it must not change, because values are decoded lazily
   * @param request by index of `request`
   * @param asOf the row's moment, epoch microseconds
   * @throws LockstepError `TRANSFORM_FAILED`
   */
  evaluate(read: readonly ViewValues[], request: readonly Value[], asOf: number): ServiceRow
}

export interface ViewUse {
  readonly plan: ViewPlan
  readonly alias: string | null
  /** For each part of the entity's key, its column in the spine or request. */
  readonly key: readonly string[]
}

export interface ServiceFeature {
  /** `feature`, or `alias__feature`. */
  readonly name: string
  readonly type: ValueType
  readonly required: boolean
  /** The view that it comes from, for messages: `airport_delays@1`. */
  readonly view: DefinitionId
  /** The read that it comes from, by index of the service's `uses`; null: an on-demand view computes it. */
  readonly use: number | null
  /** The reads that it is computed from, by index of the service's `uses`: of a view's feature its own. */
  readonly inputs: readonly number[]
  /**
   * False if a default guarantees a value, or if the feature is required (only in serving: a training set keeps rows
   * with null).
   */
  readonly nullable: boolean
}

/** The place of a feature in a row of a float tensor. */
export interface FloatColumn {
  /** Index into the service's `features`. */
  readonly feature: number
  readonly offset: number
  readonly width: number
}

/** By index of `features`. */
export interface ServiceValues {
  readonly values: readonly (Value | null)[]
  readonly statuses: readonly Status[]
  /** Event time of the row behind each value; null for on-demand features and if no row was found. */
  readonly eventTimes: readonly (number | null)[]
  /**
   * The names in the plan's `required` without a value in this row. A server refuses the row; a training set keeps it.
   */
  readonly missing: readonly string[]
}

/** A row as `evaluate` gives it. */
export interface ServiceRow extends ServiceValues {
  /** The event time of the newest visible row of a read, by index of the service's `uses`; null: there is no row. */
  eventTimeOf(use: number): number | null
  /**
   * Writes features into a tensor row: a vector as its elements, other types as a number, missing values as NaN. Packed
   * values are written without decoding `values`.
   *
   * @param at the start of the row in `floats`
   */
  fill(floats: Floats, at: number, columns: readonly FloatColumn[]): void
  /**
   * Adds 1 to `counts[feature * statusNames.length + status]` for each feature that is not PRESENT. It does not build
   * `statuses`.
   */
  countLacking(counts: Float64Array): void
}
