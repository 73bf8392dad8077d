import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'

/**
 * Why rows of the prediction log are lost:
 *
 * - `full`: the buffer was full, because PostgreSQL was down or too slow
 * - `lost`: the connection was lost after all rows had been sent; they may be stored
 * - `refused`: the table refused them, or they could not be encoded
 * - `closed`: the server was stopped, and PostgreSQL did not take them in time
 */
export type DropReason = 'full' | 'lost' | 'refused' | 'closed'
const reasons: readonly DropReason[] = ['full', 'lost', 'refused', 'closed']

export interface LogMetrics {
  written(rows: number): void
  dropped(reason: DropReason, rows: number): void
}

/** @param waiting how many rows are buffered */
export function createLogMetrics(registry: Registry, waiting: () => number): LogMetrics {
  const registers = [registry]
  const rows = new Counter({ name: 'lockstep_prediction_log_rows_total', help: 'Rows written to the prediction log.', registers })
  const dropped = new Counter({
    name: 'lockstep_prediction_log_dropped_total',
    help: 'Rows that were lost instead of logged, by reason: full, lost, refused, closed.',
    labelNames: ['reason'],
    registers,
  })
  for (const reason of reasons) dropped.inc({ reason }, 0)
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_prediction_log_waiting_rows',
      help: 'Rows that wait to be written to the prediction log.',
      registers: [],
      collect() {
        this.set(waiting())
      },
    }),
  )
  return {
    written: (count) => rows.inc(count),
    dropped: (reason, count) => dropped.inc({ reason }, count),
  }
}
