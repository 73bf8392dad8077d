import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { backOff } from '../../../runtime/workers/back-off.ts'
import { addGone, asJson, mergeMetrics } from '../../../runtime/workers/merge-metrics.ts'
import { mergeReadiness } from '../../../runtime/workers/merge-readiness.ts'
import type { MetricJson } from '../../../runtime/workers/messages.ts'

async function worker(requests: number, seconds: number): Promise<readonly MetricJson[]> {
  const registry = new Registry()
  const registers = [registry]
  new Counter({ name: 'requests_total', help: 'Requests.', labelNames: ['route'], registers }).inc({ route: '/a' }, requests)
  new Gauge({ name: 'under_way', help: 'Under way.', registers }).set(requests)
  new Gauge({ name: 'version', help: 'Version.', aggregator: 'max', registers }).set(requests)
  new Histogram({ name: 'seconds', help: 'Seconds.', buckets: [1, 2], registers }).observe(seconds)
  return asJson(await registry.getMetricsAsJSON())
}

describe('the metrics of several workers', () => {
  it('are summed, except for gauges with another aggregation', async () => {
    const text = await mergeMetrics([await worker(3, 0.5), await worker(4, 1.5)]).metrics()
    expect(text).toContain('requests_total{route="/a"} 7')
    expect(text).toContain('under_way 7')
    expect(text).toContain('version 4')
    expect(text).toContain('seconds_bucket{le="1"} 1')
    expect(text).toContain('seconds_bucket{le="2"} 2')
    expect(text).toContain('seconds_sum 2')
    expect(text).toContain('seconds_count 2')
  })

  it('never decrease when workers exit', async () => {
    const gone = await addGone(await addGone([], await worker(3, 0.5)), await worker(2, 0.5))
    const text = await mergeMetrics([await worker(1, 0.5), gone]).metrics()
    expect(text).toContain('requests_total{route="/a"} 6')
    expect(text).toContain('seconds_count 3')
    expect(text).toContain('under_way 1')
  })
})

describe('the readiness of several workers', () => {
  const ready = { ready: true, reasons: [], warnings: [], failing: [], degraded: [] }

  it('is given once all listeners are ready, and reports problems', () => {
    expect(mergeReadiness([ready, ready], 2)).toEqual(ready)
    expect(mergeReadiness([ready], 2)).toEqual({
      ...ready,
      warnings: ['1 of 2 server processes are starting or being replaced.'],
      degraded: ['processes'],
    })
    expect(mergeReadiness([ready, null], 2)).toEqual({
      ...ready,
      warnings: ['1 of 2 server processes do not answer in time.'],
      degraded: ['processes'],
    })
    const away = { ready: false, reasons: ['Redis is away.'], warnings: [], failing: ['online store'], degraded: [] }
    expect(mergeReadiness([away, ready, away], 3)).toEqual(away)
    expect(mergeReadiness([null], 1).ready).toBe(false)
    expect(mergeReadiness([], 2).ready).toBe(false)
  })
})

describe('a worker that dies', () => {
  it('is replaced at once, and ever more slowly if it keeps failing', () => {
    const waits: number[] = []
    for (let failures = 0; failures < 12;) {
      const next = backOff(failures, 500)
      waits.push(next.waitMs)
      failures = next.failures
    }
    expect(waits).toEqual([0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
    expect(backOff(12, 60_000)).toEqual({ waitMs: 0, failures: 1 })
  })
})
