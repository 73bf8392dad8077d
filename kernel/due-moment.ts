import { parseSchedule } from './schedule.ts'
import { formatTimestamp, minuteMicros } from './values/time.ts'
import type { Availability, DefinitionId } from './specs/view-spec.ts'

export type Scheduled = Extract<Availability, { kind: 'schedule' }>

/** No schedule has a longer gap: 29 February on one weekday recurs within 40 years. */
const furthestMicros = 41 * 366 * 24 * 60 * minuteMicros

/**
 * The last instant of the schedule at or before `now`; -Infinity if there is none. All values are in epoch
 * microseconds.
 */
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
 * The start of the newest run that a scheduled view needs by `now`. A run starts at each instant of the schedule, and
 * has the delay for its work. Two more runs start halfway through the delay and at its end. They fold rows that were
 * committed after the first run started, but could be visible before it. So a row that is late by less than half of the
 * delay still counts in time.
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
 * The time from which a view is late if its newest ended run started at `begunAt`: the moment from which the results of
 * the next instant's run should count.
 */
export function lateFrom({ schedule, delayMicros }: Scheduled, begunAt: number): number {
  return parseSchedule(schedule).at(begunAt + 1) + delayMicros
}

/** @param from `lateFrom`, which has passed */
export function lateText(view: DefinitionId, from: number): string {
  return `The view "${view}" is late: its scheduled run should count from ${formatTimestamp(from)} but has not ended. Check that a "lockstep worker" runs, and its logs, or run "lockstep materialize ${view}".`
}
