import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseSchedule } from '../../kernel/schedule.ts'
import type { Availability } from '../../kernel/specs/view-spec.ts'

/**
 * `'continuous'`: push or a stream keeps the view current. Otherwise the cron schedule (UTC) of its refreshes, and the
 * maximum duration of one refresh.
 */
export type StatedAvailability = 'continuous' | { readonly schedule: string; readonly delay?: string }

/** @throws LockstepError `INVALID_SCHEDULE`, `INVALID_DURATION` */
export function availabilitySpec(stated: StatedAvailability | undefined, what: string): Availability {
  if (stated === undefined || stated === 'continuous') return Object.freeze({ kind: 'continuous' })
  if (typeof stated !== 'object' || stated === null || typeof stated.schedule !== 'string') {
    throw new LockstepError(
      'INVALID_SCHEDULE',
      `${what} has an availability that is neither 'continuous' nor a schedule; write 'continuous' or { schedule: '*/5 * * * *', delay: '1m' }.`,
    )
  }
  let schedule: string
  try {
    schedule = parseSchedule(stated.schedule).text.trim().split(/\s+/).join(' ')
  } catch (cause) {
    throw new LockstepError('INVALID_SCHEDULE', `${what}: ${messageOf(cause)}`, { cause })
  }
  const delayMicros = stated.delay === undefined || stated.delay === '0s' ? 0 : parseDuration(stated.delay, `The delay of ${what}`)
  return Object.freeze({ kind: 'schedule', schedule, delayMicros })
}
