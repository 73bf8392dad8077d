import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'

/**
 * Why exposures are lost:
 *
 * - `full`: too many waited, because PostgreSQL was down or too slow
 * - `refused`: the table refused them
 * - `closed`: the server was stopped, and PostgreSQL did not take them in time
 */
export type LossReason = 'full' | 'refused' | 'closed'
const reasons: readonly LossReason[] = ['full', 'refused', 'closed']

export interface ExposureMetrics {
  written(units: number): void
  lost(reason: LossReason, units: number): void
}

/** @param waiting how many units wait to be written */
export function createExposureMetrics(registry: Registry, waiting: () => number): ExposureMetrics {
  const registers = [registry]
  const written = new Counter({ name: 'lockstep_exposures_total', help: 'Units whose exposure to a variant was written.', registers })
  const lost = new Counter({
    name: 'lockstep_exposures_lost_total',
    help: 'Exposures that were lost instead of written, by reason: full, refused, closed.',
    labelNames: ['reason'],
    registers,
  })
  for (const reason of reasons) lost.inc({ reason }, 0)
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_exposures_waiting',
      help: 'Units whose exposures wait to be written.',
      registers: [],
      collect() {
        this.set(waiting())
      },
    }),
  )
  return { written: (units) => written.inc(units), lost: (reason, units) => lost.inc({ reason }, units) }
}
