import type { RequestTimes } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRandom, type Random } from '../../../statistics/random.ts'

const [hour, day] = [3_600_000_000, 86_400_000_000]

/**
 * Healthy traffic. It has days and weekends; its hours vary; few cards make most requests; outcomes
 * take their time, and some come later than the model waits for them.
 */
export function createLifelike(random: Random, cards: number, seed: number) {
  /** -1 at 3 o'clock, 1 at 15 o'clock. */
  const daily = (at: number) => Math.sin((2 * Math.PI * (at / hour - 9)) / 24)
  /** The same number for all of an hour. */
  const ofHour = (at: number) => createRandom(seed * 1_000_003 + Math.floor(at / hour)).normal()
  const lognormal = (median: number, deviation: number) => median * Math.exp(deviation * random.normal())

  return {
    /** A factor of the mean traffic: 0.25 at night, 1.75 in the afternoon, less on weekends. */
    rate(at: number): number {
      // 1970 began on a Thursday
      const isWeekend = ((Math.floor(at / day) + 4) % 7) % 6 === 0
      return (1 + 0.75 * daily(at)) * (isWeekend ? 0.6 : 1) * Math.exp(0.08 * ofHour(at))
    },
    /** Added to amounts at that time of day. */
    amount: (at: number): number => 1.5 * daily(at),
    /** Half of the requests are for a quarter of the cards. */
    card: (): number => Math.floor(cards * random.next() ** 2),
    /** Microseconds; a fifth of them is longer than the 30 minutes that the outcome is waited for. */
    outcomeDelay: (): number => lognormal(20 * 60_000_000, 0.5),
    /**
     * How long a request took. The real times are no use: a virtual quarter of an hour is less than a real second, so
     * one short stop of this process would look like many slow minutes.
     */
    times(at: number): RequestTimes {
      const load = (1 + 0.2 * daily(at)) * Math.exp(0.05 * ofHour(at))
      const featuresMs = lognormal(4 * load, 0.5)
      const runMs = lognormal(load, 0.3)
      const waitMs = lognormal(0.2 * load, 0.5)
      return { featuresMs, waitMs, runMs, totalMs: featuresMs + waitMs + runMs + 0.5 }
    },
  }
}
