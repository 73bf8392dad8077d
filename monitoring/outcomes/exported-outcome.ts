import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { readSourceTable } from '../../offline/rows/source-table.ts'
import { microsAt, valueReader } from '../../offline/rows/tuple-values.ts'
import type { Snapshot } from '../../runtime/postgres/database.ts'
import { countedValue } from './mature-predictions.ts'
import { matureBefore, pickedSql } from './outcome-sql.ts'

/** An outcome that is exported with the predictions. */
export interface ExportedOutcome {
  readonly plan: OutcomePlan
  /** What was known then, and which predictions were mature: epoch microseconds. */
  readonly asOf: number
}

/** The outcome of a prediction, as figures of quality count it; null: it has no id, so no row matches it. */
type OutcomeState = 'matched' | 'missing' | 'immature' | null

/** The last columns of an export with an outcome, under names that no feature has. */
export function outcomeColumns({ plan }: ExportedOutcome): Column[] {
  return [
    { name: '_outcome', type: plan.spec.type },
    { name: '_outcome_state', type: { kind: 'string' } },
    { name: '_outcome_at', type: { kind: 'timestamp' } },
    { name: '_outcome_known_at', type: { kind: 'timestamp' } },
  ]
}

/**
 * The SQL that adds the outcome to rows of `prediction_log`, and the reader of its fields.
 *
 * @throws LockstepError `SOURCE_MISSING`
 */
export async function joinedOutcome(snapshot: Snapshot, { plan, asOf }: ExportedOutcome, from: number, to: number) {
  const { source, withinMicros } = plan.spec
  const picked = pickedSql(await readSourceTable(snapshot, source), { outcome: plan, from, to, asOf, known: true }, true)
  const readers = plan.columns.map(({ name, type }) => valueReader(type, `The column "${name}" of source "${source.name}"`))
  const bound = matureBefore(withinMicros, asOf)
  return {
    join: `LEFT JOIN (${picked}) o ON o.id = prediction_log.prediction_id`,
    fields: ['o.event_time', 'o.late', 'o.known', ...plan.columns.map((_, i) => `o.c${i}`)],
    /**
     * The values of `outcomeColumns`.
     *
     * @param at where the fields begin
     * @param predictionAsOf the moment of its features, epoch microseconds
     * @throws LockstepError `TRANSFORM_FAILED`
     */
    read(bytes: Buffer, view: DataView, at: number, hasId: boolean, predictionAsOf: number): (Value | null)[] {
      let next = at
      const field = <T>(read: (start: number, length: number) => T): T | null => {
        const [start, length] = [next + 4, view.getInt32(next)]
        next = start + Math.max(length, 0)
        return length < 0 ? null : read(start, length)
      }
      const happened = field((start) => microsAt(view, start))
      const late = field((start) => bytes[start] === 1)
      const known = field((start) => microsAt(view, start))
      const found = readers.map((read) => field((start, length) => read(bytes, view, start, length)))
      const mature = hasId && predictionAsOf <= bound
      const matched = mature && happened !== null && late !== true
      const state: OutcomeState = !hasId ? null : !mature ? 'immature' : matched ? 'matched' : 'missing'
      return [countedValue(plan, mature, matched, found), state, matched ? happened : null, matched ? known : null]
    },
  }
}

/** Each prediction is `labelled`, `unlabelled` or `immature`. */
export interface OutcomeTally {
  /** With a value. */
  labelled: number
  /** How many of the labelled have no row, and so the value that `missing` declares. */
  assumed: number
  /** Without a value that could still come. */
  unlabelled: number
  immature: number
}

/**
 * Counts the predictions of batches.
 *
 * @param onlyLabelled whether the others are left out
 */
export function createOutcomeTally(columns: readonly Column<ValueType>[], onlyLabelled: boolean) {
  const [valueAt, stateAt] = ['_outcome', '_outcome_state'].map((name) => columns.findIndex((column) => column.name === name))
  const counts: OutcomeTally = { labelled: 0, assumed: 0, unlabelled: 0, immature: 0 }
  return {
    counts,
    /** The rows of the batch that are exported. */
    take(batch: (Value | null)[][]): (Value | null)[][] {
      const [values, states] = [batch[valueAt ?? -1] ?? [], batch[stateAt ?? -1] ?? []]
      for (const [i, value] of values.entries()) {
        if (states[i] === 'immature') counts.immature++
        else if (value === null) counts.unlabelled++
        else {
          counts.labelled++
          if (states[i] === 'missing') counts.assumed++
        }
      }
      return onlyLabelled ? batch.map((column) => column.filter((_, i) => values[i] !== null)) : batch
    },
  }
}
