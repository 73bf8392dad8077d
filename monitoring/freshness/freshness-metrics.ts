import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import { cacheFor } from '../../runtime/cache-for.ts'
import type { FreshnessReader } from './freshness-reader.ts'
import type { ViewFreshness } from './view-freshness.ts'

const gauges: readonly { readonly name: string; readonly help: string; readonly value: (view: ViewFreshness) => number | null }[] = [
  {
    name: 'lockstep_view_newest_row_age_seconds',
    help: 'Seconds since the greatest event time among the rows of the view that arrived last.',
    value: (view) => view.newestRowSeconds,
  },
  {
    name: 'lockstep_view_last_run_age_seconds',
    help: 'Seconds since the last materialization of the view ended.',
    value: (view) => view.lastRunSeconds,
  },
  {
    name: 'lockstep_view_lag_rows',
    help: 'Committed rows of the source that the online store lacks, counted up to 10,000.',
    value: (view) => view.lag?.rows ?? null,
  },
  {
    name: 'lockstep_view_lag_transactions',
    help: 'The transactions that wrote the rows of lockstep_view_lag_rows.',
    value: (view) => view.lag?.transactions ?? null,
  },
  {
    name: 'lockstep_view_lag_seconds',
    help: 'The longest time in seconds that rows of the source may have waited for the online store.',
    value: (view) => view.lag?.seconds ?? null,
  },
  {
    name: 'lockstep_view_freshness_target_seconds',
    help: 'How many seconds the view may be behind its source, by its freshness. Only for views that declare one.',
    value: (view) => (view.freshnessMicros === null ? null : view.freshnessMicros / 1e6),
  },
  {
    name: 'lockstep_view_set_aside_entities',
    help: 'Entities without a state in the online store because their rows cannot be folded.',
    value: (view) => view.setAside.entities,
  },
  {
    name: 'lockstep_view_failing_runs',
    help: 'How many runs of the view have failed since one succeeded, from three on, else 0.',
    value: (view) => view.failing?.runs ?? 0,
  },
  {
    name: 'lockstep_view_late',
    help: '1 if the view is further behind its source than its freshness allows, or its scheduled run is overdue, else 0. Only for views that declare one of them.',
    value: (view) => (view.late !== null ? 1 : view.freshnessMicros === null && !view.scheduled ? null : 0),
  },
]

/**
 * Registers the metrics of freshness. One scrape reads the freshness once, for all of them.
 *
 * @param read where it fails or answers null, the metrics have no values
 */
export function registerFreshness(registry: Registry, read: FreshnessReader): void {
  const sample = cacheFor(0, () => read().catch(() => null))
  for (const { name, help, value } of gauges) {
    const gauge = new Gauge({
      name,
      help,
      labelNames: ['view'],
      registers: [],
      async collect() {
        const found = await sample()
        this.reset()
        for (const view of found?.views ?? []) {
          const known = value(view)
          if (known !== null) this.set({ view: view.view }, known)
        }
      },
    })
    registry.registerMetric(gauge)
  }
  const oldest = new Gauge({
    name: 'lockstep_oldest_transaction_seconds',
    help: 'Age in seconds of the oldest open writing transaction in the PostgreSQL server, by owner; 0 if there is none.',
    labelNames: ['pid', 'application', 'database'],
    registers: [],
    async collect() {
      const found = await sample()
      this.reset()
      if (found === null) return
      const { oldestWriter } = found
      if (oldestWriter === null) this.set({ pid: '', application: '', database: '' }, 0)
      else if (oldestWriter.seconds !== null) {
        const { pid, application, database, seconds } = oldestWriter
        this.set({ pid: pid === null ? '' : String(pid), application, database }, seconds)
      }
    },
  })
  registry.registerMetric(oldest)
}
