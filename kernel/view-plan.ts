import type { EntityState, FoldRow, Tie, ViewValues } from './state.ts'
import type { Column, KeyType, Value, ValueType } from './value-type.ts'
import type { CursorSpec, DefinitionId, ViewSpec } from './view-spec.ts'

/**
 * A feature view, compiled: everything that the drivers need to fold its rows and answer from its states. Made by `compileView`
 * (kernel/compile-view.ts) from the stored spec and the stored code.
 */
export interface ViewPlan {
  readonly id: DefinitionId
  readonly spec: ViewSpec
  readonly fingerprint: string
  /** What changes no value, and may change under a version. */
  readonly upkeep: ViewUpkeep
  readonly key: readonly Column<KeyType>[]
  /** Those of the source's columns that the view can read, in slot order: what a stream must deliver in `values` before the transform. */
  readonly columns: readonly Column[]
  readonly features: readonly { readonly name: string; readonly type: ValueType; readonly required: boolean }[]
  /**
   * A source row into the row that is folded: the transform's columns appended to `values`, the visible moment worked out.
   * null where the transform drops the row or it never becomes visible. `values` are canonical and by slot of `columns`.
   * `knowledge: 'latest'` sets the known time aside; `ideal` sets the schedule aside.
   *
   * @throws LockstepError `TRANSFORM_FAILED` naming view and row
   */
  fold(eventTime: number, knownTime: number | null, tie: Tie, values: readonly (Value | null)[], rule?: TimeRule): FoldRow | null
  /** When a row with these times counts in this view, availability included; Infinity: never. */
  visibleAt(eventTime: number, knownTime: number | null, rule?: TimeRule): number
  newState(): EntityState
  /** The state of which `bytes` is the canonical body and `highWater` the mark (see `decodeStored`). */
  decodeState(bytes: Uint8Array, highWater: number): EntityState
  /** What that state's `valueAt(t)` is, without making it. `bodyAt`: where the body begins in `bytes`, which must stay as they are: values may be made of them as they are asked for. */
  valueAt(bytes: Uint8Array, bodyAt: number, highWater: number, t: number): ViewValues
  /**
   * How far back a visible row can matter: rows with an event time before `t - horizonMicros` (hop-aligned, so this is generous) have no part in any
   * value or status at `t`. Infinity for a view with latest-value or lifetime features.
   */
  readonly horizonMicros: number
  /** Which visible rows an answer at t takes: those with an event time from `t - windowMicros` on, and, where `greatest` says so, the greatest of all. */
  readonly needs: { readonly windowMicros: number; readonly greatest: boolean }
}

export interface ViewUpkeep {
  /** The cap of one entity's state in the online store, bytes; null: none. */
  readonly maxStateBytes: number | null
  /** How far the online store may be behind the source; null: nothing is said. */
  readonly freshnessMicros: number | null
  /** How what is new is found in a source that does not tell arrivals; null: all of it is read each time. */
  readonly cursor: CursorSpec | null
}

/** How a training set opts out of what was known (`knowledge`) or of the schedule (`freshness`). Absent: neither. */
export interface TimeRule {
  readonly knowledge: 'bitemporal' | 'latest'
  readonly freshness: 'served' | 'ideal'
}
export const servedTime: TimeRule = { knowledge: 'bitemporal', freshness: 'served' }
