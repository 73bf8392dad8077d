import type { Window } from '../window.ts'
import type { Database } from '../../runtime/database.ts'
import type { LatencyHistogram } from '../rollups/latency-histogram.ts'
import { RollupMerger, stepMicros } from '../rollups/merged-rollups.ts'
import { readParts } from '../rollups/read-parts.ts'
import { ageQuantile } from '../rollups/traffic-summary.ts'

/**
 * How old a view was when requests were answered from it: from the moment that an entity's newest stored row counts, to
 * the answer. Of a sample of answers; within 5 %.
 */
export interface ServedAge {
  readonly medianSeconds: number
  readonly p95Seconds: number
  /** Of the newest row in any of the answers. */
  readonly leastSeconds: number
  /** How many answers were looked at. */
  readonly answers: number
}

/** The ages of a window, which is widened as that of rollups: to minutes, hours or days. */
export interface ServedAges {
  /** Epoch microseconds. */
  readonly from: number
  readonly to: number
  /** Without views of which no answer was looked at. */
  readonly byView: ReadonlyMap<string, ServedAge>
}

/**
 * From the rollups of all servers.
 *
 * @param window epoch microseconds, [from, to)
 */
export async function readServedAges(db: Pick<Database, 'query'>, window: Window): Promise<ServedAges> {
  const parts = await readParts(db, { models: [], ...window }, 'day')
  const ofProcesses = new RollupMerger()
  for await (const rows of parts.rows) for (const row of rows) ofProcesses.add(row)
  const byView = new Map(Array.from(ofProcesses.traffic.ages, ([view, ages]) => [view, servedAge(ages)] as const))
  return { from: parts.from, to: parts.to, byView }
}

export interface ServedAgePoint {
  /** When the hour begins, epoch microseconds. */
  readonly at: number
  readonly age: ServedAge | null
}

/** The age of one view by hour; null where no answer was looked at. @param window epoch microseconds, [from, to) */
export async function servedAgeSeries(db: Pick<Database, 'query'>, view: string, window: Window): Promise<ServedAgePoint[]> {
  const hourOf = (at: number) => Math.floor(at / stepMicros.hour) * stepMicros.hour
  const parts = await readParts(db, { models: [], from: hourOf(window.from), to: window.to }, 'hour')
  const hours = new Map<number, RollupMerger>()
  for await (const rows of parts.rows) {
    for (const row of rows) {
      const at = hourOf(row.at)
      let merger = hours.get(at)
      if (merger === undefined) hours.set(at, (merger = new RollupMerger()))
      merger.add(row)
    }
  }
  const points: ServedAgePoint[] = []
  for (let at = hourOf(window.from); at < window.to; at += stepMicros.hour) {
    const ages = hours.get(at)?.traffic.ages.get(view)
    points.push({ at, age: ages === undefined ? null : servedAge(ages) })
  }
  return points
}

function servedAge(ages: LatencyHistogram): ServedAge {
  return {
    medianSeconds: ageQuantile(ages, 0.5),
    p95Seconds: ageQuantile(ages, 0.95),
    leastSeconds: ageQuantile(ages, 0),
    answers: ages.count,
  }
}
