import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'
import type { ServicePlan, ServiceRow } from '../kernel/service-plan.ts'
import { Status, statusNames } from '../kernel/states/state.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { ModelMetrics } from './models/model-metrics.ts'
import { createModelMetrics } from './models/model-metrics.ts'
import type { HistogramCell } from '../runtime/counted-histogram.ts'
import { CountedHistogram } from '../runtime/counted-histogram.ts'
import { createOnlineErrorMetric } from '../online/online-error-metric.ts'
import type { PushMetrics } from './push-metrics.ts'
import { createPushMetrics } from './push-metrics.ts'
import type { RunMetrics } from './models/run-metrics.ts'
import { createRunMetrics } from './models/run-metrics.ts'
import type { RoundTrips } from '../runtime/postgres/round-trips.ts'
import { roundTripsOf } from '../runtime/postgres/round-trips.ts'

interface FeatureCounts {
  readonly plan: ServicePlan
  rows: number
  /** Counts of values that are not PRESENT, by feature and status. */
  readonly lacking: Float64Array
}

/** The part of a read of features that metrics count. */
export interface MeasuredRead {
  readonly rows: readonly Pick<ServiceRow, 'countLacking'>[]
  /** Answers that came from the offline history. */
  readonly fromHistory: number
  /** It met a clock behind the stored data. */
  readonly skewed: boolean
  /** It was answered by defaults, or by states read before, as the online store was down. */
  readonly degraded: boolean
  /** Views whose scheduled run is late. */
  readonly late: readonly string[]
}

export interface ServingMetrics {
  readonly registry: Registry
  readonly push: PushMetrics
  readonly outcomes: OutcomeMetrics
  readonly models: ModelMetrics
  request(route: string, status: number, seconds: number): void
  readonly runs: RunMetrics
  readonly roundTrips: RoundTrips
  /** Counts the read of a request. */
  read(service: ServicePlan, read: MeasuredRead): void
  /** A failure of the online store. */
  onlineError(error: unknown): void
  /** Sets for every view that is served online whether the store holds it, in place of the previous states. */
  onlineViews(states: ReadonlyMap<DefinitionId, boolean>): void
}

/** The serving metrics, registered in `registry`. No label holds anything of an entity. */
export function createServingMetrics(registry: Registry): ServingMetrics {
  const registers = [registry]
  const seconds = new CountedHistogram({
    name: 'lockstep_http_request_seconds',
    help: 'Time from the request to the answer, by route and HTTP status.',
    labelNames: ['route', 'status'],
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const byRoute = new Map<string, Map<number, HistogramCell>>()
  const history = new Counter({
    name: 'lockstep_history_answers_total',
    help: 'Views that were answered from the offline history instead of the online store.',
    labelNames: ['service'],
    registers,
  })
  const skewed = new Counter({
    name: 'lockstep_skewed_requests_total',
    help: "Requests answered as of a moment after this machine's clock, because the stored data is ahead of it.",
    labelNames: ['service'],
    registers,
  })
  const degraded = new Counter({
    name: 'lockstep_degraded_requests_total',
    help: 'Requests answered with defaults or stale states because the online store could not be read.',
    labelNames: ['service'],
    registers,
  })
  const late = new Counter({
    name: 'lockstep_late_requests_total',
    help: 'Requests answered while the run of a scheduled view was overdue, by view.',
    labelNames: ['view'],
    registers,
  })
  const onlineViews = new Gauge({
    name: 'lockstep_online_view_materialized',
    help: '1 if the online store holds the view as the registry defines it, else 0.',
    labelNames: ['view'],
    aggregator: 'min',
    registers,
  })
  // Counting a status must cost next to nothing: arrays by service, turned into samples when they are asked for.
  const counts = new Map<string, FeatureCounts>()
  registry.registerMetric(
    new Counter({
      name: 'lockstep_feature_statuses_total',
      help: 'Feature values answered, by their status.',
      labelNames: ['service', 'feature', 'status'],
      registers: [],
      collect() {
        this.reset()
        for (const { plan, rows, lacking } of counts.values()) {
          for (const [f, feature] of plan.features.entries()) {
            const ofFeature = lacking.slice(f * statusNames.length, (f + 1) * statusNames.length)
            ofFeature[Status.present] = rows - ofFeature.reduce((sum, count) => sum + count, 0)
            for (const [s, status] of statusNames.entries()) {
              const count = ofFeature[s] ?? 0
              if (count > 0) this.inc({ service: plan.id, feature: feature.name, status }, count)
            }
          }
        }
      },
    }),
  )

  return {
    registry,
    push: createPushMetrics(registry),
    outcomes: createOutcomeMetrics(registry),
    models: createModelMetrics(registry),
    request(route, status, duration) {
      let byStatus = byRoute.get(route)
      if (byStatus === undefined) byRoute.set(route, (byStatus = new Map()))
      let cell = byStatus.get(status)
      if (cell === undefined) byStatus.set(status, (cell = seconds.cell({ route, status })))
      cell.observe(duration)
    },
    runs: createRunMetrics(registry),
    roundTrips: roundTripsOf(registry),
    onlineError: createOnlineErrorMetric(registry),
    onlineViews(states) {
      onlineViews.reset()
      for (const [view, there] of states) onlineViews.set({ view }, there ? 1 : 0)
    },
    read(service, read) {
      if (read.fromHistory > 0) history.inc({ service: service.id }, read.fromHistory)
      if (read.skewed) skewed.inc({ service: service.id })
      if (read.degraded) degraded.inc({ service: service.id })
      for (const view of read.late) late.inc({ view })
      const known = counts.get(service.id)
      // A service of this id with other features can only be there after a prune: its counts start at 0.
      const entry =
        known?.plan.fingerprint === service.fingerprint
          ? known
          : { plan: service, rows: 0, lacking: new Float64Array(service.features.length * statusNames.length) }
      if (entry !== known) counts.set(service.id, entry)
      entry.rows += read.rows.length
      for (const row of read.rows) row.countLacking(entry.lacking)
    },
  }
}

/**
 * What became of outcomes that were sent: `accepted` or `duplicate`; `rejected`; and of all that were stored, those
 * that were `late` or whose prediction is `unknown`.
 */
type OutcomeResult = 'accepted' | 'duplicate' | 'rejected' | 'late' | 'unknown'

interface OutcomeMetrics {
  count(outcome: string, result: OutcomeResult, outcomes: number): void
}

function createOutcomeMetrics(registry: Registry): OutcomeMetrics {
  const counter = new Counter({
    name: 'lockstep_outcomes_total',
    help: 'Outcomes sent to POST /v1/outcomes, by what became of them. Late and unknown ones are stored, and counted twice.',
    labelNames: ['outcome', 'result'],
    registers: [registry],
  })
  return {
    count(outcome, result, outcomes) {
      if (outcomes > 0) counter.inc({ outcome, result }, outcomes)
    },
  }
}
