import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import type { Freshness, FreshnessReader } from './freshness-reader.ts'
import type { ViewFreshness } from './view-freshness.ts'

const gauges: readonly { readonly name: string; readonly help: string; readonly value: (view: ViewFreshness) => number | null }[] = [
  {
    name: 'lockstep_view_newest_row_age_seconds',
    help: 'Since the greatest event time among the rows of the view that arrived last.',
    value: (view) => view.newestRowSeconds,
  },
  {
    name: 'lockstep_view_last_run_age_seconds',
    help: 'Since the last materialization of the view ended.',
    value: (view) => view.lastRunSeconds,
  },
  {
    name: 'lockstep_view_lag_rows',
    help: 'Committed rows of the source that the online store lacks, 10,000 at most.',
    value: (view) => view.lag?.rows ?? null,
  },
  {
    name: 'lockstep_view_lag_transactions',
    help: 'The transactions that wrote the rows of lockstep_view_lag_rows.',
    value: (view) => view.lag?.transactions ?? null,
  },
  {
    name: 'lockstep_view_lag_seconds',
    help: 'For how long rows of the source may have waited to be in the online store, at most.',
    value: (view) => view.lag?.seconds ?? null,
  },
  {
    name: 'lockstep_view_set_aside_entities',
    help: 'Entities of which the online store has no state of the view, as their rows cannot be folded.',
    value: (view) => view.setAside.entities,
  },
  {
    name: 'lockstep_view_failing_runs',
    help: 'How many runs of the view have failed since one succeeded, from three on, else 0.',
    value: (view) => view.failing?.runs ?? 0,
  },
  {
    name: 'lockstep_view_late',
    help: '1 where the view is further behind its source than its freshness allows, or the run of its schedule is late, else 0. Only views that declare one of them.',
    value: (view) => (view.late !== null ? 1 : view.freshnessMicros === null && !view.scheduled ? null : 0),
  },
]

/**
 * Registers the metrics of freshness. One scrape reads the freshness once, for all of them.
 *
 * @param read where it fails or answers null, the metrics have no values
 */
export function registerFreshness(registry: Registry, read: FreshnessReader): void {
  let underWay: Promise<Freshness | null> | null = null
  const sample = (): Promise<Freshness | null> =>
    (underWay ??= read()
      .catch(() => null)
      .finally(() => (underWay = null)))
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
    help: 'The age of the open transaction that has been writing for longest in the PostgreSQL server, by who holds it; 0 where none writes.',
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
