import { describe, expect, it } from 'vitest'
import type { Silences } from '../../../monitoring/alerts/checks/silence.ts'
import { followSilence, silencesOf } from '../../../monitoring/alerts/checks/silence.ts'

const [minute, hour, day] = [60_000_000, 3_600_000_000, 86_400_000_000]

/** Looks at a source every five minutes, from the begin of a Monday on. */
function follow(newestAt: (now: number) => number, until: number) {
  let silences: Silences | null = null
  let usual: number | null = null
  for (let now = 4 * day; now <= 4 * day + until; now += 5 * minute) {
    const next = followSilence(silencesOf(JSON.parse(JSON.stringify(silences))), newestAt(now), now)
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
    const [from, to] = [4 * day + 12 * hour, 5 * day]
    const pause = (now: number) => (now >= from && now < to ? from : now - minute)
    expect(follow(pause, 8 * day).usual).toBeGreaterThan(11 * hour)
    expect(follow(pause, 10 * day).usual).toBe(minute)
  })

  it('are unknown without events, and after other text', () => {
    expect(followSilence(null, null, day)).toEqual({
      silences: { watchedSince: day, newest: null, silent: 0, longest: {} },
      usual: null,
    })
    expect(silencesOf({ newest: 'soon' })).toBeNull()
  })
})
