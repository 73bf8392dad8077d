import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'
import { createOverCapMetric } from '../over-cap-metric.ts'

/** What a process that keeps online views current counts. */
export interface ViewRunMetrics {
  run(view: string, rows: number): void
  runFailed(view: string): void
  overCap(view: string, entities: number): void
}

export function createViewRunMetrics(registry: Registry): ViewRunMetrics {
  const registers = [registry]
  const runs = new Counter({
    name: 'lockstep_view_runs_total',
    help: 'Runs of this process that materialized a view, by outcome: done or failed.',
    labelNames: ['view', 'outcome'],
    registers,
  })
  const rows = new Counter({ name: 'lockstep_view_run_rows_total', help: 'Rows that these runs folded.', labelNames: ['view'], registers })
  const last = new Gauge({
    name: 'lockstep_view_last_run_timestamp_seconds',
    help: "When this process's last run of a view ended.",
    labelNames: ['view'],
    registers,
  })
  return {
    run(view, count) {
      runs.inc({ view, outcome: 'done' })
      rows.inc({ view }, count)
      last.setToCurrentTime({ view })
    },
    runFailed: (view) => runs.inc({ view, outcome: 'failed' }),
    overCap: createOverCapMetric(registry),
  }
}
