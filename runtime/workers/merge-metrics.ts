import type { Registry } from 'prom-client'
import { AggregatorRegistry } from 'prom-client'
import type { MetricJson } from './messages.ts'

/** The metrics of several processes as those of one: counts are added up, gauges as each says itself. */
export function mergeMetrics(all: readonly (readonly MetricJson[])[]): Registry {
  return AggregatorRegistry.aggregate(all.map((metrics) => [...metrics]))
}

/**
 * What a process that is gone had counted, added to what others before it had: counters and histograms must not go back. What it was at that moment, its
 * gauges, has gone with it.
 */
export async function addGone(gone: readonly MetricJson[], metrics: readonly MetricJson[]): Promise<readonly MetricJson[]> {
  const counts = metrics.filter(({ type }) => type === 'counter' || type === 'histogram')
  return asJson(await mergeMetrics([gone, counts]).getMetricsAsJSON())
}

/** The same, by what it holds: prom-client's own type leaves out the names within a histogram. */
export function asJson(metrics: readonly unknown[]): readonly MetricJson[] {
  return metrics.map((metric) => {
    const { name, type, help, aggregator, values } = metric as MetricJson
    return { name, type: String(type), help, aggregator, values }
  })
}
