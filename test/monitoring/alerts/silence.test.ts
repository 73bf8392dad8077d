import { describe, expect, it } from 'vitest'
import type { Silences } from '../../../monitoring/alerts/checks/silence.ts'
import { followSilence, silencesOf } from '../../../monitoring/alerts/checks/silence.ts'

const [minute, hour, day] = [60_000_000, 3_600_000_000, 86_400_000_000]

const limits = { factor: 3, minMicros: 15 * minute }

/** Looks at a source every five minutes, from the begin of a Monday on. */
function follow(newestAt: (now: number) => number, until: number) {
  let silences: Silences | null = null
  let usual: number | null = null
  for (let now = 4 * day; now <= 4 * day + until; now += 5 * minute) {
    const next = followSilence(silencesOf(JSON.parse(JSON.stringify(silences))), newestAt(now), now, limits)
    silences = next.silences
    usual = next.usual
  }
  return { usual, silent: silences?.silent }
}

describe('the silences of a source', () => {
  it('of a source that is never silent are known after a day', () => {
    const busy = (now: number) => now - 2 * minute
    expect(follow(busy, day - hour).usual).toBeNull()
    expect(follow(busy, day)).toEqual({ usual: 2 * minute, silent: 2 * minute })
  })

  it('do not have the present one in them', () => {
    const stopped = (now: number) => Math.min(now, 4 * day + 30 * hour) - 2 * minute
    expect(follow(stopped, 33 * hour)).toEqual({ usual: 2 * minute, silent: 3 * hour + 2 * minute })
  })

  it('of a source that sleeps at night are known after a week', () => {
    const awake = (now: number) => Math.floor(now / day) * day + Math.min(now % day, 20 * hour)
    expect(follow(awake, 3 * day).usual).toBeNull()
    expect(follow(awake, 7 * day).usual).toBe(4 * hour - 5 * minute)
  })

  it('end with an event, also one that is late when it is seen', () => {
    const hourly = (now: number) => Math.floor(now / hour) * hour - 30 * minute
    expect(follow(hourly, 7 * day).usual).toBe(85 * minute)
  })

  it('are forgotten after eight days', () => {
    const [from, to] = [4 * day + 11 * hour, 5 * day - hour]
    const pause = (now: number) => (now >= from && now < to ? from : now - minute)
    expect(follow(pause, 7 * day).usual).toBeGreaterThan(11 * hour)
    expect(follow(pause, 9 * day).usual).toBe(minute)
  })

  it('do not have an outage in them, but have what comes on a third day', () => {
    // busy for two days, then silent for six hours of some days
    const outage = (days: number) => (now: number) => {
      const [at, of] = [now % day, Math.floor(now / day) - 4]
      return of >= 2 && of < 2 + days && at >= 6 * hour && at < 12 * hour ? now - at + 6 * hour : now - minute
    }
    expect(follow(outage(1), 3 * day).usual).toBe(minute)
    expect(follow(outage(2), 4 * day).usual).toBe(minute)
    // what takes an hour and longer needs a week to be known
    expect(follow(outage(3), 5 * day).usual).toBeNull()
    expect(follow(outage(3), 7 * day).usual).toBeGreaterThan(5 * hour)
  })

  it('are unknown without events, and after other text', () => {
    expect(followSilence(null, null, day, limits)).toEqual({
      silences: { watchedSince: day, newest: null, silent: 0, longest: {}, outages: {} },
      usual: null,
      threshold: null,
    })
    expect(silencesOf({ newest: 'soon' })).toBeNull()
  })
})
