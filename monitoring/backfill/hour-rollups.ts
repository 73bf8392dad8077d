import type { Window } from '../window.ts'
import type { FloatColumn, ServedEntity } from '../../kernel/service-plan.ts'
import type { Floats } from '../../kernel/states/packed-row.ts'
import { Status, statusNames } from '../../kernel/states/state.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import type { RollupDays } from '../../runtime/settings/variables.ts'
import { dayOf } from '../day-partitions.ts'
import type { MergedStep } from '../rollups/merged-rollups.ts'
import { mergedStatement, stepMicros } from '../rollups/merged-rollups.ts'
import type { RollupKey } from '../rollups/rollup-writer.ts'
import type { BaselineBins, RecordedVersion } from '../rollups/row-recorder.ts'
import { RowRecorder } from '../rollups/row-recorder.ts'
import { TrafficSummary } from '../rollups/traffic-summary.ts'

interface Row {
  readonly entity: ServedEntity
  /** By index of the service's features. */
  readonly values: readonly (Value | null)[]
  readonly statuses: readonly Status[]
  readonly prediction: readonly (Value | null)[]
}

/**
 * Rollups of past rows by hour: of each minute they would be too many, and minutes are kept for days only. Rows that
 * are older than hours are kept are summarized by day.
 */
export interface HourRollups {
  /** @param at epoch microseconds */
  add(at: number, row: Row): void
  /** From the first to the last period with rows, epoch microseconds, [from, to); null: there is no row. */
  window(): Window | null
  /** Statements that write the periods, in place of those of the same key in the window. */
  statements(window: Window): Iterable<string>
}

export interface HourRollupsOptions {
  readonly key: RollupKey
  readonly recorded: RecordedVersion
  readonly baseline: BaselineBins | null
  readonly rollupDays: RollupDays
  /** Epoch microseconds. */
  readonly now: number
}

/** Merged hours say how many rows of minutes they are made of. An hour of none would not count. */
const parts = 1

export function createHourRollups({ key, recorded, baseline, rollupDays, now }: HourRollupsOptions): HourRollups {
  const periods = new Map<number, { readonly step: MergedStep; readonly traffic: TrafficSummary; readonly rows: RowRecorder }>()
  // the merge reads no hours of the last day that they are kept for
  const hoursFrom = (dayOf(now) - rollupDays.hour + 1) * stepMicros.day

  return {
    window() {
      if (periods.size === 0) return null
      let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
      for (const [at, { step }] of periods) [from, to] = [Math.min(from, at), Math.max(to, at + stepMicros[step])]
      return { from, to }
    },
    add(at, { entity, values, statuses, prediction }) {
      const step = at < hoursFrom ? 'day' : 'hour'
      const start = Math.floor(at / stepMicros[step]) * stepMicros[step]
      let own = periods.get(start)
      if (own === undefined) periods.set(start, (own = { step, traffic: new TrafficSummary(), rows: new RowRecorder(recorded, baseline) }))
      own.traffic.requests++
      own.traffic.rows++
      own.traffic.sampledRows++
      const row = { values, fill: fillOf(values), countLacking: countLackingOf(statuses) }
      own.rows.count([row])
      own.rows.take(entity, row, prediction as Value[])
    },
    *statements(window) {
      yield forgetEarlier(key, window)
      for (const [at, { step, traffic, rows }] of periods) {
        // the present hour is not over
        const minutes = Math.floor(Math.min(stepMicros[step], now - at + stepMicros.minute) / stepMicros.minute)
        yield mergedStatement(step, { ...key, at }, { parts, traffic, columns: rows.summary(), coverage: { minutes, missing: [] } })
      }
    },
  }
}

function forgetEarlier({ model, version, role }: RollupKey, { from, to }: Window): string {
  const moment = (micros: number) => `to_timestamp(${micros}::float8 / 1000000)`
  const day = Math.floor(from / stepMicros.day) * stepMicros.day
  return `DELETE FROM lockstep.merged_rollups WHERE model = ${sqlText(model)} AND version = ${version} AND role = ${sqlText(role)}
     AND at < ${moment(to)} AND (step = 'hour' AND at >= ${moment(from)} OR step = 'day' AND at >= ${moment(day)})`
}

function fillOf(values: Row['values']) {
  return (floats: Floats, at: number, columns: readonly FloatColumn[]): void => {
    for (const { feature, offset } of columns) floats[at + offset] = Number(values[feature] ?? Number.NaN)
  }
}

function countLackingOf(statuses: Row['statuses']) {
  return (counts: Float64Array): void => {
    for (const [f, status] of statuses.entries()) {
      const place = f * statusNames.length + status
      if (status !== Status.present) counts[place] = (counts[place] ?? 0) + 1
    }
  }
}
