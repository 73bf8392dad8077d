import { Histogram, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { CountedHistogram } from '../../runtime/counted-histogram.ts'
import { asJson, mergeMetrics } from '../../runtime/workers/merge-metrics.ts'

const of = { name: 'took_seconds', help: 'How long it took.', labelNames: ['route', 'status'] as const, buckets: [0.001, 0.01, 0.1] }
const values = [0, 0.001, 0.0010001, 0.05, 0.1, 7, Number.EPSILON]

function both() {
  const [ours, theirs] = [new Registry(), new Registry()]
  const cell = new CountedHistogram({ ...of, registers: [ours] }).cell({ route: '/a "b"', status: 200 })
  const histogram = new Histogram({ ...of, registers: [theirs] })
  for (const value of values) {
    cell.observe(value)
    histogram.observe({ route: '/a "b"', status: 200 }, value)
  }
  return { ours, theirs }
}

it('equals the histogram of the client', async () => {
  const { ours, theirs } = both()
  expect(await ours.metrics()).toBe(await theirs.metrics())
  expect(await ours.metrics()).toContain('took_seconds_bucket{le="0.001",route="/a \\"b\\"",status="200"} 3')
})

it('is summed over processes like that of the client', async () => {
  const { ours, theirs } = both()
  const merged = async (registry: Registry) => {
    const metrics = asJson(await registry.getMetricsAsJSON())
    return await mergeMetrics([metrics, metrics]).metrics()
  }
  expect(await merged(ours)).toBe(await merged(theirs))
  expect(await merged(ours)).toContain('status="200"} 14')
})
