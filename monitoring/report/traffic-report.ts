import { windowJson } from '../window.ts'
import { formatTimestamp, hourMicros } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isOutputColumn } from '../baselines/baseline.ts'
import type { ModelRollup } from '../rollups/model-rollup.ts'
import { type RollupStep, readRollupGroups, readRollup, rollupSeries } from '../rollups/read-rollups.ts'

/** The answers of servers. Counts are exact; values cover `sampledRows`. */
export interface TrafficReport extends TrafficFigures {
  readonly sampledRows: number
  readonly cacheHits: number
  readonly errors: Readonly<Record<string, number>>
  /** Stretches without figures of a server that may have answered. RFC 3339. */
  readonly gaps: readonly { readonly from: string; readonly to: string }[]
  readonly versions: readonly (TrafficFigures & { readonly version: number | null; readonly role: string | null })[]
  readonly step: RollupStep
  /** By `step`. A null in `figures` is a gap and not a zero. */
  readonly series: readonly { readonly at: string; readonly figures: TrafficFigures | null }[]
  /** Rows of features by status. */
  readonly statuses: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export interface TrafficFigures {
  readonly requests: number
  readonly failed: number
  /** Requests that a candidate failed and the champion answered. */
  readonly bypassed: number
  readonly rows: number
  /** The median time of answered requests; null: there are none. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** The longest windows that have a point each minute, and each hour. */
const [maxMinutes, maxHours] = [6 * hourMicros, 14 * 24 * hourMicros]

/** @param window epoch microseconds, [from, to) */
export async function trafficReport(
  db: Pick<Database, 'query'>,
  { model, from, to }: { readonly model: string; readonly from: number; readonly to: number },
): Promise<TrafficReport> {
  const window = { model, from, to }
  const all = await readRollup(db, window)
  const groups = await readRollupGroups(db, window, ['version', 'role'])
  const step: RollupStep = to - from <= maxMinutes ? 'minute' : to - from <= maxHours ? 'hour' : 'day'
  const series = await rollupSeries(db, { ...window, step })
  return {
    ...figuresOf(all),
    sampledRows: all.sampledRows,
    cacheHits: all.cacheHits,
    errors: Object.fromEntries(all.errors),
    gaps: all.coverage.missing.map(windowJson),
    versions: groups.map(({ version, role, rollup }) => ({ version, role, ...figuresOf(rollup) })),
    step,
    series: series.map(({ at, rollup }) => ({ at: formatTimestamp(at), figures: rollup === null ? null : figuresOf(rollup) })),
    statuses: Object.fromEntries(
      Array.from(all.columns, ([name, { statuses }]) => [name, statuses] as const).filter(([name]) => !isOutputColumn(name)),
    ),
  }
}

function figuresOf({ requests, rows, errors, bypassed, latency }: ModelRollup): TrafficFigures {
  return {
    requests,
    failed: sumOf(errors),
    bypassed: sumOf(bypassed),
    rows,
    p50Ms: latency.total.quantile(0.5),
    p99Ms: latency.total.quantile(0.99),
  }
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}
