import { Counter, Gauge, Registry } from 'prom-client'
import { addGone, asJson, mergeMetrics } from './merge-metrics.ts'
import type { MetricJson } from './messages.ts'

/** The metrics of a pool of workers as a whole. */
export interface PoolMetrics {
  /** Keeps what a worker had counted that is gone. */
  gone(metrics: readonly MetricJson[]): Promise<void>
  replaced(): void
  /** One that did not answer was killed. */
  silent(): void
  /** The Prometheus text of these workers, of ended workers, and of the pool. */
  all(workers: readonly (readonly MetricJson[])[]): Promise<string>
}

/** @param alive how many workers listen */
export function createPoolMetrics(alive: () => number): PoolMetrics {
  const registry = new Registry()
  const registers = [registry]
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_workers',
      help: 'Server processes that answer.',
      registers: [],
      collect() {
        this.set(alive())
      },
    }),
  )
  const replaced = new Counter({
    name: 'lockstep_workers_replaced_total',
    help: 'Server processes that died and were replaced.',
    registers,
  })
  const silent = new Counter({
    name: 'lockstep_workers_silent_total',
    help: 'Server processes that did not answer and were killed.',
    registers,
  })
  /** Readers wait until the counts of an ended worker are added. */
  let kept: Promise<readonly MetricJson[]> = Promise.resolve([])

  return {
    async gone(metrics) {
      kept = kept.then((before) => addGone(before, metrics))
      await kept
    },
    replaced: () => replaced.inc(),
    silent: () => silent.inc(),
    async all(workers) {
      const gone = await kept
      return await mergeMetrics([...workers, gone, asJson(await registry.getMetricsAsJSON())]).metrics()
    },
  }
}
