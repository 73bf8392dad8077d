import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lastInstant, lateFrom, runPoint } from '../../kernel/due-moment.ts'
import { parseSchedule } from '../../kernel/schedule.ts'

const minute = 60_000_000
const schedules = ['* * * * *', '*/5 * * * *', '7 3 * * *', '30 1-4 * * mon', '0 0 1 * *', '0 12 29 2 *', '15,45 */6 1-7 * 2']
const seconds = fc.integer({ min: 0, max: 4_000_000_000 }).map((n) => n * 1_000_000 + 1)

describe('the runs of a schedule', () => {
  it('begin at the latest of an instant, half its delay and its end', () => {
    fc.assert(
      fc.property(fc.constantFrom(...schedules), seconds, fc.integer({ min: 0, max: 90 }), (schedule, now, minutes) => {
        const asked = parseSchedule(schedule)
        const delayMicros = minutes * minute
        const point = runPoint({ kind: 'schedule', schedule, delayMicros }, now)
        const offsets = [0, delayMicros / 2, delayMicros]
        expect(point).toBeLessThanOrEqual(now)
        expect(offsets.some((offset) => asked.at(point - offset) === point - offset)).toBe(true)
        for (const offset of offsets) expect(asked.at(point - offset + 1) + offset).toBeGreaterThan(now)
      }),
    )
  })

  it('are due at the very instant', () => {
    const schedule = { kind: 'schedule', schedule: '*/5 * * * *', delayMicros: minute } as const
    expect([15 * minute - 1, 15 * minute].map((now) => lastInstant(schedule, now))).toEqual([10 * minute, 15 * minute])
    expect([15, 15.5, 16, 17].map((now) => runPoint(schedule, now * minute))).toEqual([15, 15.5, 16, 16].map((n) => n * minute))
  })

  it('are late after the time at which their rows should count', () => {
    const schedule = { kind: 'schedule', schedule: '*/5 * * * *', delayMicros: 7 * minute } as const
    expect(lateFrom(schedule, 15 * minute)).toBe(27 * minute)
    expect(lateFrom(schedule, 15 * minute - 1)).toBe(22 * minute)
  })
})
