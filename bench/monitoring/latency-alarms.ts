import { quantileLowerBound, type LatencyHour, usualLatency } from '../../monitoring/alerts/checks/latency-verdict.ts'
import { LatencyHistogram } from '../../monitoring/rollups/latency-histogram.ts'
import { checkOf } from '../../registry/define/check-options.ts'
import type { Random } from '../../statistics/random.ts'
import { createRandom } from '../../statistics/random.ts'

/** Requests of healthy servers. */
export interface LatencySeries {
  /** The mean number of requests in 15 minutes. */
  readonly requests: number
  /** The standard deviation of the logarithm of a request's time. */
  readonly deviation: number
  /** That of a quarter of an hour's median, and of a process' median. */
  readonly noise: number
}

export interface LatencyAlarms extends LatencySeries {
  /** How many evaluations there were. */
  readonly looks: number
  /** Evaluations that breached although nothing was wrong. */
  readonly falseAlarms: number
  /** The share of evaluations that breached after all requests took so many times as long for 15 minutes. */
  readonly noticed: Readonly<Record<string, number>>
}

const processes = 4
const quartersOfHour = 4
const historyHours = 168
const slower = [1, 1.5, 2, 3] as const

/**
 * How often the check `latency` alarms, over lognormal times with days and nights (± 20 %), quarters of an hour that
 * vary together, and processes that differ. An evaluation looks at a quarter of an hour, and compares it with the week
 * before.
 */
export function latencyAlarms(series: LatencySeries, looks: number): LatencyAlarms {
  const spec = checkOf({ kind: 'latency' }, 'The simulation')
  if (spec.kind !== 'latency') throw new Error('The check is another one.')
  const random = createRandom(1)
  const ofProcess = Array.from({ length: processes }, () => series.noise * random.normal())
  const hours: LatencyHour[] = []
  const breaches = slower.map(() => 0)
  let looked = 0
  for (let quarter = 0; looked < looks; quarter++) {
    const quarters = drawQuarter(random, series, quarter, ofProcess)
    if (hours.length > historyHours) {
      const usual = usualLatency(hours.slice(-historyHours - 1, -1), hours.at(-1)?.hour ?? 0, spec)
      for (const [i, histogram] of quarters.entries()) {
        const value = quantileLowerBound(histogram, spec.quantile)
        if (usual !== null && value !== null && histogram.count >= spec.minRequests && value > spec.factor * usual.ms)
          breaches[i] = (breaches[i] as number) + 1
      }
      looked++
    }
    if (quarter % quartersOfHour === 0) hours.push({ hour: quarter / quartersOfHour, total: new LatencyHistogram() })
    hours.at(-1)?.total.merge(quarters[0] as LatencyHistogram)
  }
  const [falseAlarms = 0] = breaches
  const noticed = Object.fromEntries(slower.flatMap((factor, i) => (i === 0 ? [] : [[`×${factor}`, (breaches[i] as number) / looks]])))
  return { ...series, looks, falseAlarms, noticed }
}

/** The same quarter of an hour, with requests that take so many times as long. */
function drawQuarter(random: Random, { requests, deviation, noise }: LatencySeries, quarter: number, ofProcess: readonly number[]) {
  const hour = quarter / quartersOfHour
  const daily = 0.2 * Math.sin((2 * Math.PI * hour) / 24)
  const common = noise * random.normal()
  const histograms = slower.map(() => new LatencyHistogram())
  const count = Math.max(0, Math.round(requests + Math.sqrt(requests) * random.normal()))
  for (let i = 0; i < count; i++) {
    const ms = 10 * (1 + daily) * Math.exp(common + (ofProcess[i % processes] as number) + deviation * random.normal())
    for (const [s, histogram] of histograms.entries()) histogram.observe(ms * (slower[s] as number))
  }
  return histograms
}
