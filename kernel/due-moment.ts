import { parseSchedule } from './schedule.ts'
import { formatTimestamp } from './time.ts'
import type { Availability, DefinitionId } from './view-spec.ts'

export type Scheduled = Extract<Availability, { kind: 'schedule' }>

const minuteMicros = 60_000_000
/** Further back there is no instant of any schedule: 29 February on one weekday comes round within 40 years. */
const furthestMicros = 41 * 366 * 24 * 60 * minuteMicros

/** The last instant of the schedule by `now`; -Infinity where there is none. All in epoch microseconds. */
export function lastInstant({ schedule }: Scheduled, now: number): number {
  const { at } = parseSchedule(schedule)
  for (let back = minuteMicros; back < furthestMicros; back *= 2) {
    let instant = at(now - back)
    if (instant > now) continue
    for (let next = at(instant + 1); next <= now; next = at(instant + 1)) instant = next
    return instant
  }
  return Number.NEGATIVE_INFINITY
}

/**
 * When the newest run is to begin that a scheduled view wants by `now`. One begins at each instant of the schedule, and
 * has the delay for its work. What was committed after it began and says that it could be seen before is folded by two
 * more, halfway through the delay and at its end: a row that comes late by less than half of the delay still counts in
 * time.
 */
export function runPoint(availability: Scheduled, now: number): number {
  const { delayMicros } = availability
  // whole milliseconds, as runs are recorded
  const half = Math.floor(delayMicros / 2_000) * 1_000
  return [0, half, delayMicros].reduce(
    (newest, after) => Math.max(newest, lastInstant(availability, now - after) + after),
    Number.NEGATIVE_INFINITY,
  )
}

/**
 * From when on a view is late whose newest run to have ended began at `begunAt`: when what the next instant's run makes
 * of the rows was to count.
 */
export function lateFrom({ schedule, delayMicros }: Scheduled, begunAt: number): number {
  return parseSchedule(schedule).at(begunAt + 1) + delayMicros
}

/** @param from `lateFrom`, which has passed */
export function lateText(view: DefinitionId, from: number): string {
  return `The view "${view}" is late: its scheduled run should count from ${formatTimestamp(from)} but has not ended. Check that a "lockstep worker" runs, and its logs, or run "lockstep materialize ${view}".`
}
