import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'

/** Which predictions to read, and from when to look at them. Times are epoch microseconds. */
export interface OutcomeQuery {
  readonly outcome: OutcomePlan
  /** Absent: all versions of the model. */
  readonly versions?: readonly number[] | undefined
  /** Predictions logged from `from` on and before `to`. */
  readonly from: number
  readonly to: number
  /** What was known then, and which predictions were mature. */
  readonly asOf: number
  /** Only this prediction. Its rows are found by an index of the source, if there is one. Absent: all. */
  readonly prediction?: string
  /** Whether to read from when on the rows count: matching by entity then takes longer. Default: false. */
  readonly known?: boolean
}

/** A logged prediction with its outcome. */
export interface OutcomeRow {
  readonly predictionId: string
  /** When it was answered, epoch microseconds. */
  readonly at: number
  /** The moment that its features hold for. `within` begins here. */
  readonly asOf: number
  readonly version: number
  /** Why that version answered (`Role`); null in rows of older servers. */
  readonly role: string | null
  /** The JSON text of its keys: equal for rows of one entity. */
  readonly entity: string
  /** The output that the outcome judges; null: it is missing. NaN and the infinities are numbers. */
  readonly output: JsonValue
  /** By index of the requested columns; null: missing. */
  readonly columns: readonly JsonValue[]
  /** Whether `within` had passed. Only then it has an outcome. */
  readonly mature: boolean
  /** Whether a row of the source says what came of it. */
  readonly matched: boolean
  /** null: figures leave the row out. */
  readonly outcome: Value | null
  /**
   * The business figures of the outcome, by their index: 0 of a mature prediction without a row, if the outcome says
   * what that means; null: the figure leaves the row out.
   */
  readonly amounts: readonly (number | null)[]
  /** When the outcome happened; null without a row. */
  readonly outcomeAt: number | null
  /**
   * Only for a query of one prediction: the source's row, even if the prediction is not mature; null: there is none.
   */
  readonly found: FoundOutcome | null
}

export interface FoundOutcome {
  /** When it happened, epoch microseconds. */
  readonly at: number
  /** Whether that was after `within`: then it does not count. */
  readonly late: boolean
  readonly value: Value | null
}
