import type { FloatColumn, ServedEntity } from '../../kernel/service-plan.ts'
import type { Floats } from '../../kernel/packed-row.ts'
import { Status, statusNames } from '../../kernel/state.ts'
import type { Value } from '../../kernel/value-type.ts'
import type { Database } from '../../runtime/database.ts'
import type { RollupDays } from '../rollups/merge-rollups.ts'
import { lockMerging, mergeRollups } from '../rollups/merge-rollups.ts'
import { stepMicros, writeMerged } from '../rollups/merged-rollups.ts'
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

/** Rollups of past rows by hour: of each minute they would be too many, and minutes are kept for days only. */
export interface HourRollups {
  /** @param at epoch microseconds */
  add(at: number, row: Row): void
  /** The hours from the first to the last row, epoch microseconds, [from, to); null: there is no row. */
  window(): { readonly from: number; readonly to: number } | null
  /** Writes the hours, in place of those of the same key in the window, and merges days. `now`: epoch microseconds. */
  write(days: RollupDays, now: number, signal?: AbortSignal): Promise<void>
}

/** Merged hours say how many rows of minutes they are made of. An hour of none would not count. */
const parts = 1

export function createHourRollups(
  db: Database,
  { key, recorded, baseline }: { readonly key: RollupKey; readonly recorded: RecordedVersion; readonly baseline: BaselineBins | null },
): HourRollups {
  const hours = new Map<number, { readonly traffic: TrafficSummary; readonly rows: RowRecorder }>()

  function window() {
    if (hours.size === 0) return null
    let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    for (const at of hours.keys()) [first, last] = [Math.min(first, at), Math.max(last, at)]
    return { from: first, to: last + stepMicros.hour }
  }

  return {
    window,
    add(at, { entity, values, statuses, prediction }) {
      const hour = Math.floor(at / stepMicros.hour) * stepMicros.hour
      let own = hours.get(hour)
      if (own === undefined) hours.set(hour, (own = { traffic: new TrafficSummary(), rows: new RowRecorder(recorded, baseline) }))
      own.traffic.requests++
      own.traffic.rows++
      own.traffic.sampledRows++
      const row = { values, fill: fillOf(values), countLacking: countLackingOf(statuses) }
      own.rows.count([row])
      own.rows.take(entity, row, prediction as Value[])
    },
    async write(days, now, signal) {
      const written = window()
      if (written === null) return
      const release = await lockMerging(db)
      try {
        await forgetEarlier(db, key, written)
        for (const [at, { traffic, rows }] of hours) {
          // the present hour is not over
          const coverage = { minutes: Math.min(60, Math.floor((now - at) / stepMicros.minute) + 1), missing: [] }
          await writeMerged(db, 'hour', { ...key, at }, { parts, traffic, columns: rows.summary(), coverage })
        }
        await mergeRollups(db, days, now, signal)
      } finally {
        await release()
      }
    },
  }
}

async function forgetEarlier(
  db: Pick<Database, 'query'>,
  { model, version, role }: RollupKey,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const day = Math.floor(from / stepMicros.day) * stepMicros.day
  await db.query(
    `DELETE FROM lockstep.merged_rollups WHERE model = $1 AND version = $2 AND role = $3 AND at < to_timestamp($5::float8 / 1000000)
     AND (step = 'hour' AND at >= to_timestamp($4::float8 / 1000000) OR step = 'day' AND at >= to_timestamp($6::float8 / 1000000))`,
    [model, version, role, from, to, day],
  )
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
