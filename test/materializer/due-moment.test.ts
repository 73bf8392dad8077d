import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSchedule } from '../../kernel/schedule.ts'
import { dueMoment } from '../../materializer/due-moment.ts'

const minute = 60_000_000
const schedules = ['* * * * *', '*/5 * * * *', '7 3 * * *', '30 1-4 * * mon', '0 0 1 * *', '0 12 29 2 *', '15,45 */6 1-7 * 2']

describe('the moment that a schedule wants', () => {
  it('is its last instant whose delay has passed, and the delay', () => {
    const now = fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1_000_000 + 1)
    fc.assert(
      fc.property(fc.constantFrom(...schedules), now, fc.integer({ min: 0, max: 90 }), (schedule, at, minutes) => {
        const delayMicros = minutes * minute
        const moment = dueMoment({ kind: 'schedule', schedule, delayMicros }, at)
        const asked = parseSchedule(schedule)
        const instant = moment - delayMicros
        expect(asked.at(instant)).toBe(instant)
        expect(moment).toBeLessThanOrEqual(at)
        expect(asked.at(instant + 1) + delayMicros).toBeGreaterThan(at)
      }),
    )
  })

  it('is reached at the very instant', () => {
    const schedule = { kind: 'schedule', schedule: '*/5 * * * *', delayMicros: minute } as const
    expect(dueMoment(schedule, 16 * minute)).toBe(16 * minute)
    expect(dueMoment(schedule, 16 * minute - 1)).toBe(11 * minute)
  })
})
