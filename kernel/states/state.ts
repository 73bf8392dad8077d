import type { ByteWriter } from '../values/binary.ts'
import type { Value } from '../values/value-type.ts'

/** A transformed source row that becomes visible at some time, ready to fold into a state. */
export interface FoldRow {
  /** Epoch microseconds. */
  readonly eventTime: number
  /** Epoch microseconds; the event time if the source has no known time. */
  readonly knownTime: number
  /** When the row counts, epoch microseconds: `plan.visibleAt(eventTime, knownTime)`, which includes availability. */
  readonly visibleAt: number
  /**
   * Breaks ties of event and known time: `_row` if Lockstep owns the table, else the row's raw canonical columns
   * (`tieOf`).
   */
  readonly tie: Tie
  /** By slot of `plan.row`: the source's columns, then the derived ones. */
  readonly values: readonly (Value | null)[]
}

export type Tie = number | string

/** Whether `a` comes before `b` in the total order of an entity's rows: event time, known time, tie. */
export function isBefore(a: OrderKey, b: OrderKey): boolean {
  if (a.eventTime !== b.eventTime) return a.eventTime < b.eventTime
  if (a.knownTime !== b.knownTime) return a.knownTime < b.knownTime
  if (typeof a.tie === typeof b.tie) return a.tie < b.tie
  return typeof a.tie === 'number'
}
export type OrderKey = Pick<FoldRow, 'eventTime' | 'knownTime' | 'tie'>

/** Statuses as small integers; `statusNames[status]` is what users see. */
export const Status = { present: 0, nullValue: 1, notFound: 2, outsideMaxAge: 3, invalid: 4, unavailable: 5 } as const
export type Status = (typeof Status)[keyof typeof Status]
export const statusNames = ['PRESENT', 'NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE', 'INVALID', 'UNAVAILABLE'] as const

const wholes: (readonly Status[])[] = []

/**
 * The statuses of `count` values that are all present. It is always the same array, so callers can recognize it by
 * identity.
 */
export function allPresent(count: number): readonly Status[] {
  return (wholes[count] ??= new Array<Status>(count).fill(Status.present))
}

/**
 * A view's features for one entity at one moment, by index of `plan.features`. Defaults are applied to the values, but
 * not to the statuses.
 */
export interface ViewValues {
  readonly values: readonly (Value | null)[]
  readonly statuses: readonly Status[]
  /**
   * Event time of the greatest visible row within the view's horizon; null if there is none (then every status is
   * NOT_FOUND).
   */
  readonly eventTime: number | null
}

/**
 * The state machine of one entity in one view. The order of `add` calls never changes an answer or a byte.
 *
 *     empty --add(row)--> folded rows, high-water mark H, rows that wait --valueAt(t >= H)--> values
 */
export interface EntityState {
  /** The greatest folded `visibleAt`; -Infinity if nothing is folded. `valueAt(t)` is defined for t >= this. */
  readonly highWater: number
  /**
   * Adds a row. A row that is visible by `now` is folded. A later row waits until `advance` or `valueAt` reaches its
   * `visibleAt`. It waits in the bounded list of pending rows or, in a scheduled view, in the partial state of its
   * moment.
   *
   * @throws LockstepError `PENDING_OVERFLOW` past `maxPendingRows` or `maxWaitingMoments`
   */
  add(row: FoldRow, now: number): void
  /**
   * The view's feature values at `t` (epoch microseconds). Pending rows that are visible by `t` are folded first, so
   * later calls need the same or a later `t`.
   *
   * @param into an earlier answer of the same view to overwrite and return; default: a new answer
   *
   * @throws LockstepError `HISTORY_NEEDED` if `t` is before the high-water mark
   */
  valueAt(t: number, into?: ViewValues): ViewValues
  /** Folds pending rows that are visible by `t`. */
  advance(t: number): void
  /** Merges a partial state of other rows of the same entity into this state. */
  merge(other: EntityState): void
  /**
   * The canonical body: equal states write equal bytes. The high-water mark and the frontier are not part of it
   * (`encodeStored`).
   */
  encode(writer: ByteWriter): void
}

export const maxPendingRows = 10_000
/** The maximum scheduled moments for which rows of one entity may wait. */
export const maxWaitingMoments = 1_000
