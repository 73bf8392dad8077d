import type { EntityState, FoldRow, Tie, ViewValues } from './states/state.ts'
import type { Column, KeyType, Value, ValueType } from './values/value-type.ts'
import type { CursorSpec, DefinitionId, ViewSpec } from './specs/view-spec.ts'

/**
 * A compiled feature view: everything that is needed to fold its rows and to answer from its states. `compileView`
 * (kernel/compile-view.ts) makes it from the stored spec and code.
 */
export interface ViewPlan {
  readonly id: DefinitionId
  readonly spec: ViewSpec
  readonly fingerprint: string
  /** Settings that change no value, so they may change under a version. */
  readonly upkeep: ViewUpkeep
  readonly key: readonly Column<KeyType>[]
  /** The source columns that the view reads, in slot order. `values` has them before the transform. */
  readonly columns: readonly Column[]
  readonly features: readonly { readonly name: string; readonly type: ValueType; readonly required: boolean }[]
  /**
   * Turns a source row into the row to fold: appends the transform's columns to `values` and computes `visibleAt`.
   * Returns null if the transform drops the row or the row never becomes visible. `values` are canonical and by slot of
   * `columns`. `knowledge: 'latest'` ignores the known time; `freshness: 'ideal'` ignores the schedule.
   *
   * @throws LockstepError `TRANSFORM_FAILED` naming view and row
   */
  fold(eventTime: number, knownTime: number | null, tie: Tie, values: readonly (Value | null)[], rule?: TimeRule): FoldRow | null
  /** When a row with these times counts in this view, availability included; Infinity: never. */
  visibleAt(eventTime: number, knownTime: number | null, rule?: TimeRule): number
  newState(): EntityState
  /** Decodes the canonical body `bytes` of a state with this high-water mark (see `decodeStored`). */
  decodeState(bytes: Uint8Array, highWater: number): EntityState
  /**
   * The decoded state's `valueAt(t)`, computed without building the state. The body begins at `bodyAt`. `bytes` must
   * not change afterwards, because values may be decoded lazily.
   */
  valueAt(bytes: Uint8Array, bodyAt: number, highWater: number, t: number): ViewValues
  /**
   * How far back a visible row can matter. Rows with an event time before `t - horizonMicros` affect no value or status
   * at `t`. It includes one hop, since window starts are hop-aligned. Infinity for a view with latest-value or lifetime
   * features.
   */
  readonly horizonMicros: number
  /**
   * The visible rows that an answer at `t` needs: those with an event time of at least `t - windowMicros` and, if
   * `greatest`, the greatest row of all.
   */
  readonly needs: { readonly windowMicros: number; readonly greatest: boolean }
}

export interface ViewUpkeep {
  /** The maximum size of one entity's state in the online store, bytes; null: no limit. */
  readonly maxStateBytes: number | null
  /** How far the online store may be behind the source, microseconds; null: no objective. */
  readonly freshnessMicros: number | null
  /** How new rows are found in a source without arrival columns; null: the complete source is read each time. */
  readonly cursor: CursorSpec | null
}

/** How a training set ignores known times (`knowledge`) or the schedule (`freshness`). Default: it ignores neither. */
export interface TimeRule {
  readonly knowledge: 'bitemporal' | 'latest'
  readonly freshness: 'served' | 'ideal'
}
export const servedTime: TimeRule = { knowledge: 'bitemporal', freshness: 'served' }
