import type { CounterConfiguration } from 'prom-client'
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { logToStandardError } from './log-destination.ts'
import { readVersion } from './version.ts'

export type MetricsRegistry = Registry

/**
 * A registry of Prometheus metrics with those of the process (memory, CPU, event loop, garbage collection, its log) in
 * it. One for each process.
 */
export function createMetricsRegistry(): MetricsRegistry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  // gauges with the names of counters, which Prometheus' own linter refuses; by type they are there without the ending
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`)
  const build = new Gauge({
    name: 'lockstep_build_info',
    help: 'Always 1, with the version of Lockstep that runs.',
    labelNames: ['version'],
    aggregator: 'max',
    registers: [registry],
  })
  build.set({ version: readVersion() }, 1)
  const log = logToStandardError()
  const dropped = new Counter({
    name: 'lockstep_log_lines_dropped_total',
    help: 'Log lines that were dropped because standard error could not be written: a full disk, or a pipe that was closed or not read.',
    registers: [],
    collect() {
      this.reset()
      this.inc(log.dropped)
    },
  })
  registry.registerMetric(dropped)
  return registry
}

/** The counter of this name in a registry, which all callers in a process share. */
export function sharedCounter<Label extends string>(
  registry: Registry,
  configuration: Pick<CounterConfiguration<Label>, 'name' | 'help' | 'labelNames'>,
): Counter<Label> {
  const present = registry.getSingleMetric(configuration.name)
  return present instanceof Counter ? present : new Counter({ ...configuration, registers: [registry] })
}

/** Whether the database and the online store answered when they were last asked. */
export function createDependencyMetric(registry: Registry): (dependency: string, up: boolean) => void {
  const gauge = new Gauge({
    name: 'lockstep_dependency_up',
    help: 'Whether the database and the online store answered when this process last asked: 1 or 0.',
    labelNames: ['dependency'],
    registers: [registry],
  })
  return (dependency, up) => gauge.set({ dependency }, up ? 1 : 0)
}
