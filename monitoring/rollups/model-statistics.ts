import { setImmediate as nextTurn } from 'node:timers/promises'
import { windowJson } from '../window.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ColumnRollup, ModelRollup } from './model-rollup.ts'
import type { ModelTraffic, RollupGroup, RollupQuery, RollupStep, SeriesPoint } from './read-rollups.ts'
import { stepMicros } from './merged-rollups.ts'
import { readRollupGroups, readRollup, readTraffic, rollupSeries } from './read-rollups.ts'
import type { Stage, TrafficSummary } from './traffic-summary.ts'

/** Milliseconds, within 5 %; null: no request was answered. */
export interface LatencyFigures {
  readonly mean: number | null
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
}

export interface TrafficFigures {
  readonly requests: number
  readonly rows: number
  readonly sampledRows: number
  readonly cacheHits: number
  readonly errors: Readonly<Record<string, number>>
  readonly bypassed: Readonly<Record<string, number>>
  readonly latencyMs: Readonly<Record<Stage, LatencyFigures>>
}

export interface ColumnFigures extends Omit<ColumnRollup, 'bins' | 'statuses'> {
  readonly statuses: Readonly<Record<string, number>>
  readonly bins: readonly { readonly binsId: string; readonly counts: readonly number[] }[]
}

/** The statistics of a model, as JSON. */
export interface ModelStatistics {
  readonly model: string
  /** RFC 3339, as are all times. */
  readonly from: string
  readonly to: string
  readonly total: TrafficFigures & {
    readonly entities: number
    readonly columns: Readonly<Record<string, ColumnFigures>>
  }
  readonly groups: readonly (TrafficFigures & { readonly version: number | null; readonly role: string | null })[]
  readonly series: readonly { readonly at: string; readonly of: string | null; readonly figures: TrafficFigures | null }[]
  readonly processes: { readonly cpuSeconds: number; readonly errors: Readonly<Record<string, number>> }
  readonly coverage: { readonly minutes: number; readonly missing: readonly { readonly from: string; readonly to: string }[] }
}

export interface StatisticsQuery extends RollupQuery {
  readonly by: readonly ('version' | 'role')[]
  /** Absent: no series. */
  readonly step?: RollupStep | undefined
}

/** A series may have so many periods. */
const maxPeriods = 2000

/**
 * Reads the statistics of a window. A series is split by the first of `by`.
 *
 * @throws LockstepError `INVALID_REQUEST` for a series of too many periods
 */
export async function modelStatistics(db: Pick<Database, 'query'>, { by, step, ...query }: StatisticsQuery): Promise<ModelStatistics> {
  if (step !== undefined && (query.to - query.from) / stepMicros[step] > maxPeriods)
    throw new LockstepError(
      'INVALID_REQUEST',
      `The window has more than ${maxPeriods} periods of a ${step}. Use a longer step or a shorter window.`,
    )
  const total = await readRollup(db, query)
  // of groups and periods, only the traffic is shown
  const traffic = { ...query, trafficOnly: true }
  const groups = by.length === 0 ? [{ version: null, role: null, rollup: total }] : await readRollupGroups(db, traffic, by)
  const series = step === undefined ? [] : await rollupSeries(db, { ...traffic, step, by: by[0] })
  const { coverage, entities, columns } = total
  return {
    model: query.model,
    from: formatTimestamp(total.from),
    to: formatTimestamp(total.to),
    total: {
      ...trafficFigures(total),
      entities,
      columns: Object.fromEntries(Array.from(columns, ([name, column]) => [name, shown(column)])),
    },
    groups: groups.map(groupFigures),
    series: series.map(pointFigures),
    processes: { cpuSeconds: total.cpuSeconds, errors: Object.fromEntries(total.processErrors) },
    coverage: { minutes: coverage.minutes, missing: coverage.missing.map(windowJson) },
  }
}

/** The answers of models in one window, without their columns. */
export type TrafficStatistics = Pick<ModelStatistics, 'from' | 'to' | 'groups' | 'series'> & { readonly total: TrafficFigures }

/** Reads what clients got of models, by model, with series by minute: one line of all versions, or one of each. */
export async function trafficStatistics(
  db: Pick<Database, 'query'>,
  { byVersion, ...query }: Parameters<typeof readTraffic>[1] & { readonly byVersion: boolean },
): Promise<ReadonlyMap<string, TrafficStatistics>> {
  const { models, ...bounds } = await readTraffic(db, query, byVersion)
  const window = windowJson(bounds)
  const statistics = new Map<string, TrafficStatistics>()
  for (const [model, { total, versions, series }] of models) {
    const groups = byVersion ? Array.from(versions, ([version, traffic]) => ({ version, role: null, ...trafficFigures(traffic) })) : []
    statistics.set(model, { ...window, total: trafficFigures(total), groups, series: series.map(minuteFigures) })
    // the figures of an hour take half a millisecond
    await nextTurn()
  }
  return statistics
}

function minuteFigures({ at, version, traffic }: ModelTraffic['series'][number]): ModelStatistics['series'][number] {
  const figures = traffic === null ? null : trafficFigures(traffic)
  return { at: formatTimestamp(at), of: version === null ? null : String(version), figures }
}

function groupFigures({ version, role, rollup }: RollupGroup): ModelStatistics['groups'][number] {
  return { version, role, ...trafficFigures(rollup) }
}

function pointFigures({ at, of, rollup }: SeriesPoint): ModelStatistics['series'][number] {
  return { at: formatTimestamp(at), of, figures: rollup === null ? null : trafficFigures(rollup) }
}

function trafficFigures({
  requests,
  rows,
  sampledRows,
  cacheHits,
  errors,
  bypassed,
  latency,
}: ModelRollup | TrafficSummary): TrafficFigures {
  const figures = (stage: Stage): LatencyFigures => {
    const times = latency[stage]
    return { mean: times.mean(), p50: times.quantile(0.5), p95: times.quantile(0.95), p99: times.quantile(0.99) }
  }
  const latencyMs = { total: figures('total'), features: figures('features'), wait: figures('wait'), run: figures('run') }
  const byCode = { errors: Object.fromEntries(errors), bypassed: Object.fromEntries(bypassed) }
  return { requests, rows, sampledRows, cacheHits, ...byCode, latencyMs }
}

function shown({ bins, ...column }: ColumnRollup): ColumnFigures {
  return { ...column, bins: bins.map(({ binsId, counts }) => ({ binsId, counts })) }
}
