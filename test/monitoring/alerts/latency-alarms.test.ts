import { describe, expect, it } from 'vitest'
import { latencyAlarms } from '../../../bench/monitoring/latency-alarms.ts'
import { quantileLowerBound, usualLatency } from '../../../monitoring/alerts/checks/latency-verdict.ts'
import { LatencyHistogram } from '../../../monitoring/rollups/latency-histogram.ts'

const rule = { quantile: 0.95, factor: 1.5, minRequests: 10 }

function timesOf(ms: number, count = 20): LatencyHistogram {
  const histogram = new LatencyHistogram()
  for (let i = 0; i < count; i++) histogram.observe(ms)
  return histogram
}

describe('latency that is usual', () => {
  // 40 ms from 12 to 18 o'clock, 10 ms at other hours
  const hours = Array.from({ length: 72 }, (_, hour) => ({ hour, total: timesOf(hour % 24 >= 12 && hour % 24 < 18 ? 40 : 10) }))

  it('is that of the same time of day', () => {
    expect(usualLatency(hours, 72 + 15, rule)).toEqual({ ms: expect.closeTo(40, -0.5), hours: 9 })
    expect(usualLatency(hours, 72 + 3, rule)).toEqual({ ms: expect.closeTo(10, 0), hours: 9 })
    // across midnight
    expect(usualLatency(hours, 72 + 24, rule)?.hours).toBe(9)
  })

  it('is that of all hours where that time of day has few, and unknown below 24 hours', () => {
    expect(usualLatency(hours.slice(0, 24), 24 + 3, rule)).toEqual({ ms: expect.closeTo(40, -0.5), hours: 24 })
    expect(usualLatency(hours.slice(0, 23), 24, rule)).toBeNull()
    expect(usualLatency(hours, 72, { ...rule, minRequests: 21 })).toBeNull()
  })

  it('is compared with a bound that few requests lower', () => {
    const mixed = (slow: number, of: number) => {
      const histogram = timesOf(1, of - slow)
      histogram.merge(timesOf(100, slow))
      return histogram
    }
    // 6 % are slow: of 200 requests that says little
    expect(quantileLowerBound(mixed(12, 200), 0.95)).toBeCloseTo(1, 0)
    expect(quantileLowerBound(mixed(600, 10_000), 0.95)).toBeGreaterThan(90)
    expect(quantileLowerBound(new LatencyHistogram(), 0.95)).toBeNull()
  })
})

describe('the check of latency', () => {
  it('alarms rarely without a cause, and notices times that double', () => {
    const found = latencyAlarms({ requests: 400, deviation: 0.6, noise: 0.05 }, 1500)
    expect(found.falseAlarms).toBeLessThanOrEqual(1)
    expect(found.noticed['×2']).toBeGreaterThan(0.85)
    expect(found.noticed['×3']).toBeGreaterThan(0.99)
  })
})
