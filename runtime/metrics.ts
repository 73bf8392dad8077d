import { collectDefaultMetrics, Registry } from 'prom-client'

/** A registry of Prometheus metrics with those of the process (memory, CPU, event loop, garbage collection) in it. One for each process. */
export function createMetricsRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}
