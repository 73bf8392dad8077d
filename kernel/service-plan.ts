import type { EntityKey } from './entity-key.ts'
import type { Floats } from './packed-row.ts'
import type { Status, ViewValues } from './state.ts'
import type { Column, KeyType, Value, ValueType } from './value-type.ts'
import type { ViewPlan } from './view-plan.ts'
import type { DefinitionId } from './view-spec.ts'

/** One entity of a request, checked and encoded. */
export interface ServedEntity {
  /** By index of the service's `uses`. */
  readonly keys: readonly EntityKey[]
  /** By index of the service's `request`. */
  readonly request: readonly Value[]
}

/**
 * A feature service, compiled: which views to read under which keys, and how to turn their values and the request's into the
 * service's features. Training and serving both call `evaluate`; there is no other path. Made by `compileService`.
 */
export interface ServicePlan {
  readonly id: DefinitionId
  readonly name: string
  readonly version: number
  readonly fingerprint: string
  /** The distinct (view, key mapping) pairs to read, inputs of on-demand views included. */
  readonly uses: readonly ViewUse[]
  /** Columns that name the entities: what a spine must carry and a request must send. */
  readonly keys: readonly Column<KeyType>[]
  /** Request data that on-demand views need, beside the keys. */
  readonly request: readonly Column[]
  /** The service's features, in order. */
  readonly features: readonly ServiceFeature[]
  /**
   * What a row must not lack to be served: the names of required features, and as `airport_delays@1.lastDelay` those that are required of a view that only an
   * on-demand view takes.
   */
  readonly required: readonly string[]
  /**
   * Where no code runs and nothing is required: by index of `features`, where each stands in what was read, which `evaluate` would only copy. Else null.
   */
  readonly direct: readonly { /** into `uses` */ readonly use: number; /** into the view's features */ readonly feature: number }[] | null
  /**
   * All features for one entity row.
   *
   * @param read by index of `uses`; values are made of it as they are asked for, so it must stay as it is until then
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
  /** False where a default guarantees a value, or where it is required (in serving: a training set keeps the row with null). */
  readonly nullable: boolean
}

/** Where a feature goes in a row of a tensor of floats. */
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
  /** Event time of the row behind each value; null for on-demand features and where nothing was found. */
  readonly eventTimes: readonly (number | null)[]
  /** Which of the plan's `required` have no value in this row. A server refuses it; a training set keeps it. */
  readonly missing: readonly string[]
}

/** A row as `evaluate` gives it. */
export interface ServiceRow extends ServiceValues {
  /**
   * Writes features into a tensor's row: a vector as its elements, any other as a number, what is missing as NaN. The same as from `values`, without making them where they lie packed.
   *
   * @param at where the row begins in `floats`
   */
  fill(floats: Floats, at: number, columns: readonly FloatColumn[]): void
  /** Adds 1 to `counts[feature * statusNames.length + status]` for each feature that is not PRESENT. The same as from `statuses`, without making them. */
  countLacking(counts: Float64Array): void
}
