import { describe, expect, it } from 'vitest'
import { trafficVerdict } from '../../../monitoring/alerts/checks/traffic-anomaly.ts'

const options = { score: 4, minChange: 0.4 }
const weeks = 4

/** A fixed sequence of standard normal numbers. */
function createNormal(): () => number {
  let state = 1
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

interface Series {
  readonly mean: number
  readonly isSeasonal: boolean
  /** Of the logarithm of the rate; each hour keeps 0.8 of the one before. */
  readonly deviation: number
}

/** Requests of six weeks by hour. */
function simulate({ mean, isSeasonal, deviation }: Series) {
  const normal = createNormal()
  let state = 0
  return Array.from({ length: 168 * (weeks + 2) }, (_, hour) => {
    state = 0.8 * state + 0.6 * normal() * deviation
    const rate = mean * (isSeasonal ? 1 + 0.8 * Math.sin((2 * Math.PI * (hour - 9)) / 24) : 1) * Math.exp(state)
    return { hourOfWeek: hour % 168, value: Math.max(0, Math.round(rate + Math.sqrt(rate) * normal())) }
  })
}

/** How many hours of the last two weeks are anomalous, as they are and multiplied. */
function alarms(series: Series, factor = 1): { readonly alarms: number; readonly of: number } {
  const hours = simulate(series)
  const tested = hours.flatMap(({ hourOfWeek, value }, t) => {
    if (t < 168 * weeks || t % 3 > 0) return []
    const verdict = trafficVerdict(hours.slice(t - 168 * weeks, t), { hourOfWeek, value: Math.round(value * factor) }, options)
    return [verdict?.anomalous === true]
  })
  return { alarms: tested.filter(Boolean).length, of: tested.length }
}

describe('the score of traffic', () => {
  it.each([
    ['independent requests', { mean: 1000, isSeasonal: false, deviation: 0 }],
    ['few requests', { mean: 100, isSeasonal: false, deviation: 0 }],
    ['days and nights', { mean: 1000, isSeasonal: true, deviation: 0 }],
    ['rates that depend on the hour before', { mean: 1000, isSeasonal: false, deviation: 0.1 }],
    ['both', { mean: 1000, isSeasonal: true, deviation: 0.1 }],
  ])('raises no false alarm in two weeks of %s', (_, series) => {
    expect(alarms(series)).toEqual({ alarms: 0, of: 112 })
  })

  it.each([
    ['independent requests', { mean: 1000, isSeasonal: false, deviation: 0 }],
    ['days and nights', { mean: 1000, isSeasonal: true, deviation: 0 }],
  ])('finds traffic that halves, or doubles, in every hour of %s', (_, series) => {
    for (const factor of [0.5, 2]) expect(alarms(series, factor)).toEqual({ alarms: 112, of: 112 })
  })

  it('needs history of the hour, and enough of it', () => {
    const hours = simulate({ mean: 100, isSeasonal: false, deviation: 0 })
    expect(trafficVerdict(hours.slice(0, 2 * 168), { hourOfWeek: 0, value: 0 }, options)).toBeNull()
    expect(trafficVerdict(hours.slice(0, 4 * 168), { hourOfWeek: 0, value: 0 }, options)).toMatchObject({ anomalous: true })
  })
})
