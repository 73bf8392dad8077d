import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Logger } from '../runtime/log.ts'
import { isUnavailable } from '../runtime/postgres/postgres-unavailable.ts'
import { sqlState } from '../runtime/postgres/relation.ts'
import type { DayPartitions } from './day-partitions.ts'

/** Creates the partition of the next day before that day begins, so that a failure is known a day ahead. */
export interface NextPartition {
  /** At most one sentence, as of the last try. */
  readonly warnings: readonly string[]
  /** Tries at most once a minute, until the partition of the day after `day` is there. Never rejects. */
  create(day: number): Promise<void>
}

/**
 * Why a statement was ended that can be tried again: a lock timeout, a deadlock, a cancellation, a full disk, a standby
 * that takes no writes.
 */
export const endedStates: readonly string[] = ['55P03', '40P01', '57014', '53100', '25006']
/** Waiting for the lock of a table that is being read holds others up. */
const retryMs = 60_000

/** @param what the table holds: `the prediction log` */
export function createNextPartition(
  { database, log }: { readonly database: () => Database; readonly log: Logger },
  partitions: DayPartitions,
  what: string,
): NextPartition {
  let made = Number.NEGATIVE_INFINITY
  let tryAt = 0
  let warnings: readonly string[] = []
  return {
    get warnings() {
      return warnings
    },
    async create(day) {
      const next = day + 1
      if (made >= next || performance.now() < tryAt) return
      tryAt = performance.now() + retryMs
      try {
        await partitions.create(database(), [next])
        made = next
        warnings = []
      } catch (error) {
        const text = `the next partition of ${what} cannot be created yet`
        if (canBeTriedAgain(error)) return log.debug({ error: messageOf(error) }, text)
        if (warnings.length === 0) log.warn({ error: messageOf(error) }, text)
        const date = new Date(next * 86_400_000).toISOString().slice(0, 10)
        warnings = [`The partition of ${what} for ${date} cannot be created: ${messageOf(error)}${remedyOf(error)}`]
      }
    },
  }
}

const lacksRights = '42501'

/** The remedy for a refused statement, as the end of a sentence. */
export function remedyOf(error: unknown): string {
  return sqlState(error) === lacksRights ? '. "lockstep doctor" says which rights the role lacks.' : ''
}

/** Whether a failed statement says nothing about rights, because the next one may succeed. */
export function canBeTriedAgain(error: unknown): boolean {
  return endedStates.includes(sqlState(error)) || isDown(error)
}

/** Whether the database does not answer, which has a warning of its own. */
export function isDown(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof LockstepError && error.code === 'POSTGRES_UNAVAILABLE')
}
