import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import type { OldestWriter } from '../../runtime/oldest-writer.ts'

/** What the metrics of freshness say, as of one moment; null is not said. */
export interface FreshnessSample {
  readonly views: readonly {
    readonly view: string
    readonly newestRowSeconds: number | null
    readonly lastRunSeconds: number | null
    readonly lag: { readonly rows: number; readonly transactions: number; readonly seconds: number } | null
    readonly freshnessMicros: number | null
    readonly scheduled: boolean
    readonly setAside: { readonly entities: number }
    readonly late: string | null
  }[]
  readonly oldestWriter: OldestWriter | null
}

type View = FreshnessSample['views'][number]

const gauges: readonly { readonly name: string; readonly help: string; readonly value: (view: View) => number | null }[] = [
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
    name: 'lockstep_view_late',
    help: '1 where the view is further behind its source than its freshness allows, or the run of its schedule is late, else 0. Only views that declare one of them.',
    value: (view) => (view.late !== null ? 1 : view.freshnessMicros === null && !view.scheduled ? null : 0),
  },
]

/**
 * Registers the metrics of freshness. They are read when they are asked for, all in one.
 *
 * @param read null, or a failure: nothing is known, and nothing is said
 */
export function registerFreshness(registry: Registry, read: () => Promise<FreshnessSample | null>): void {
  let underWay: Promise<FreshnessSample | null> | null = null
  const sample = (): Promise<FreshnessSample | null> =>
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
          const said = value(view)
          if (said !== null) this.set({ view: view.view }, said)
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
