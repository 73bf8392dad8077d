import type { Window } from '../window.ts'
import { floorTo } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { LatencyHistogram } from '../rollups/latency-histogram.ts'
import { stepMicros } from '../rollups/merged-rollups.ts'
import { readParts } from '../rollups/read-parts.ts'
import { addRows } from '../rollups/read-rollups.ts'
import { ageQuantile, TrafficSummary } from '../rollups/traffic-summary.ts'

/**
 * How old a view was when requests were answered from it: from the moment that an entity's newest stored row counts, to
 * the answer. Of a sample of answers; within 5 %.
 */
export interface ServedAge {
  readonly medianSeconds: number
  readonly p95Seconds: number
  /** The age of the newest row in any of the answers. */
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
  const all = new TrafficSummary()
  await addRows(parts, ({ traffic }) => void all.mergeEncoded(traffic))
  const byView = new Map(Array.from(all.ages, ([view, ages]) => [view, servedAge(ages)] as const))
  return { from: parts.from, to: parts.to, byView }
}

export interface ServedAgePoint {
  /** When the hour begins, epoch microseconds. */
  readonly at: number
  readonly age: ServedAge | null
}

/** The age of one view in a window, and by hour. */
export interface ServedAgeSeries extends Omit<ServedAges, 'byView'> {
  readonly total: ServedAge | null
  /** Its first hour begins before the window. */
  readonly hours: readonly ServedAgePoint[]
}

/** Reads the ages of one view once, for the window and for its hours. @param window epoch microseconds, [from, to) */
export async function servedAgeSeries(db: Pick<Database, 'query'>, view: string, window: Window): Promise<ServedAgeSeries> {
  const first = floorTo(window.from, stepMicros.hour)
  const parts = await readParts(db, { models: [], from: first, to: window.to, cutAt: window.from }, 'hour')
  const from = parts.startOf(window.from)
  const beforeWindow = new TrafficSummary()
  const hours = new Map<number, TrafficSummary>()
  await addRows(parts, ({ at, traffic }) => {
    const hour = floorTo(at, stepMicros.hour)
    const summary = at < from ? beforeWindow : (hours.get(hour) ?? new TrafficSummary())
    if (at >= from) hours.set(hour, summary)
    summary.mergeEncoded(traffic)
  })
  const all = new TrafficSummary()
  for (const hour of hours.values()) all.merge(hour)
  beforeWindow.merge(hours.get(first) ?? new TrafficSummary())
  hours.set(first, beforeWindow)
  const ageOf = (summary: TrafficSummary | undefined): ServedAge | null => {
    const ages = summary?.ages.get(view)
    return ages === undefined ? null : servedAge(ages)
  }
  const points: ServedAgePoint[] = []
  for (let at = first; at < window.to; at += stepMicros.hour) points.push({ at, age: ageOf(hours.get(at)) })
  return { from, to: parts.to, total: ageOf(all), hours: points }
}

function servedAge(ages: LatencyHistogram): ServedAge {
  return {
    medianSeconds: ageQuantile(ages, 0.5),
    p95Seconds: ageQuantile(ages, 0.95),
    leastSeconds: ageQuantile(ages, 0),
    answers: ages.count,
  }
}
