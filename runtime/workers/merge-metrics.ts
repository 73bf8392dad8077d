import type { Registry } from 'prom-client'
import { AggregatorRegistry } from 'prom-client'
import type { MetricJson } from './messages.ts'

/** Merges the metrics of several processes. Counts are summed; each gauge states its own aggregation. */
export function mergeMetrics(all: readonly (readonly MetricJson[])[]): Registry {
  return AggregatorRegistry.aggregate(all.map((metrics) => [...metrics]))
}

/**
 * Adds the counts of an ended process to those of earlier ones, because counters and histograms must not decrease. Its
 * gauges are dropped.
 */
export async function addGone(gone: readonly MetricJson[], metrics: readonly MetricJson[]): Promise<readonly MetricJson[]> {
  const counts = metrics.filter(({ type }) => type === 'counter' || type === 'histogram')
  return asJson(await mergeMetrics([gone, counts]).getMetricsAsJSON())
}

/** Converts prom-client's JSON, whose type omits `metricName` of histogram values. */
export function asJson(metrics: readonly unknown[]): readonly MetricJson[] {
  return metrics.map((metric) => {
    const { name, type, help, aggregator, values } = metric as MetricJson
    return { name, type: String(type), help, aggregator, values }
  })
}
