import type { statusNames } from '../../kernel/states/state.ts'
import { Status } from '../../kernel/states/state.ts'
import type { CategoryCount } from './category-sample.ts'
import type { ColumnBinCounts } from './binned-rows.ts'
import type { ColumnSummary } from './column-summary.ts'
import type { BinnedColumnRows, ColumnsSummary } from './columns-summary.ts'
import type { Coverage } from './coverage.ts'
import type { LatencyHistogram } from './latency-histogram.ts'
import type { Stage, TrafficSummary } from './traffic-summary.ts'

/** The answers of all server processes for a model in a window. */
export interface ModelRollup {
  /** Epoch microseconds, [from, to). */
  readonly from: number
  readonly to: number
  /** Answered and failed. */
  readonly requests: number
  /** The rows of answered requests. */
  readonly rows: number
  /** Rows whose values were taken. */
  readonly sampledRows: number
  /** Rows that the prediction cache answered. */
  readonly cacheHits: number
  /** Failed requests by error code. */
  readonly errors: ReadonlyMap<string, number>
  /** Requests that candidates failed and the champion answered, by error code. They are no errors. */
  readonly bypassed: ReadonlyMap<string, number>
  /** The times of answered requests, milliseconds. */
  readonly latency: Readonly<Record<Stage, LatencyHistogram>>
  /** Processor seconds of all server processes, for whatever they answered. */
  readonly cpuSeconds: number
  /** All errors that the processes answered over HTTP, for whatever was asked, by code. */
  readonly processErrors: ReadonlyMap<string, number>
  /** About how many distinct entities the sampled rows have, by the key of the service that has most. */
  readonly entities: number
  /** By name of the feature; `output:NAME` for an output. */
  readonly columns: ReadonlyMap<string, ColumnRollup>
  readonly coverage: Coverage
}

export interface ColumnRollup {
  /** Exact, of all rows. */
  readonly statuses: Readonly<Record<(typeof statusNames)[number], number>>
  /** Rows whose values were taken; what follows is of these. */
  readonly sampled: number
  /** About how many distinct entities with the column's own key they have. */
  readonly entities: number
  readonly nulls: number
  readonly nans: number
  readonly plusInfinities: number
  readonly minusInfinities: number
  /** Moments of finite numbers, and of booleans as 0 and 1; null: there are none. */
  readonly moments: ({ readonly count: number } & NonNullable<ReturnType<ColumnSummary['moments']['figures']>>) | null
  /**
   * Categories of texts and booleans: `complete` if all values are counted, else a fair sample. null: other types.
   */
  readonly values: { readonly complete: boolean; readonly top: readonly CategoryCount[] } | null
  /** By the bins of the version's baseline; several if the bins changed; empty: there was no baseline. */
  readonly bins: readonly ColumnBinCounts[]
}

const topValues = 50

/** The rollup of merged summaries. @param ofProcess that of the processes, whatever they answered */
export function modelRollup(
  { from, to, coverage }: Pick<ModelRollup, 'from' | 'to' | 'coverage'>,
  traffic: TrafficSummary,
  summary: ColumnsSummary | null,
  ofProcess: TrafficSummary,
): ModelRollup {
  const binned = summary?.binnedColumns()
  return {
    from,
    to,
    requests: traffic.requests,
    rows: traffic.rows,
    sampledRows: traffic.sampledRows,
    cacheHits: traffic.cacheHits,
    errors: traffic.errors,
    bypassed: traffic.bypassed,
    latency: traffic.latency,
    cpuSeconds: ofProcess.cpuMicros / 1_000_000,
    processErrors: ofProcess.errors,
    entities: summary?.distinctEntities() ?? 0,
    columns: new Map(Array.from(summary?.columns ?? [], ([name, column]) => [name, columnRollup(column, binned?.get(name) ?? noRows)])),
    coverage,
  }
}

const noRows: BinnedColumnRows = { entities: 0, bins: [] }

function columnRollup(column: ColumnSummary, { entities, bins }: BinnedColumnRows): ColumnRollup {
  const { taken: sampled, nulls, nans, plusInfinities, minusInfinities, moments, values } = column
  const figures = moments.figures()
  const of = (status: Status) => column.statuses[status] as number
  return {
    statuses: {
      PRESENT: of(Status.present),
      NULL_VALUE: of(Status.nullValue),
      NOT_FOUND: of(Status.notFound),
      OUTSIDE_MAX_AGE: of(Status.outsideMaxAge),
      INVALID: of(Status.invalid),
      UNAVAILABLE: of(Status.unavailable),
    },
    sampled,
    entities,
    nulls,
    nans,
    plusInfinities,
    minusInfinities,
    moments: figures === null ? null : { count: moments.count, ...figures },
    values: values === null ? null : { complete: values.complete, top: values.top(topValues) },
    bins,
  }
}
