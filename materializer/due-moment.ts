import { parseSchedule } from '../kernel/schedule.ts'
import type { Availability } from '../kernel/view-spec.ts'

const minuteMicros = 60_000_000
/** Further back there is no instant of any schedule: 29 February on one weekday comes round within 40 years. */
const furthestMicros = 41 * 366 * 24 * 60 * minuteMicros

/**
 * The moment of the newest run that a schedule wants by now: the last instant whose delay has passed, and the delay. All in epoch microseconds. Rows that arrive until then
 * count from then on, so a run counts as of that moment, however late it is.
 */
export function dueMoment({ schedule, delayMicros }: Extract<Availability, { kind: 'schedule' }>, now: number): number {
  const { at } = parseSchedule(schedule)
  const latest = now - delayMicros
  for (let back = minuteMicros; back < furthestMicros; back *= 2) {
    let instant = at(latest - back)
    if (instant > latest) continue
    for (let next = at(instant + 1); next <= latest; next = at(instant + 1)) instant = next
    return instant + delayMicros
  }
  return Number.NEGATIVE_INFINITY
}

/** What a run of a view counts as now. */
export function runMoment(availability: Availability, now: number): number {
  return availability.kind === 'continuous' ? now : Math.max(0, dueMoment(availability, now))
}
