import { LockstepError } from '../kernel/errors.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { sharedNowMicros } from '../runtime/postgres/database-clock.ts'

const leastBehindMicros = 1_000_000

/**
 * Checks events that were refused because they lie in the future. If one does not by the clock of the database, the
 * clock of this process is wrong and not the event, which its sender or stream must not give up. The database is asked
 * once for all of them.
 *
 * @param ownNow the clock of this process when it received the events, epoch microseconds
 * @returns a function that takes what the reader of events threw, for any reason, and one that reads the event again,
 *   as received so many microseconds later
 * @throws LockstepError (the function) `NOT_READY`
 */
export function createClockCheck(
  db: Pick<Database, 'query'>,
  ownNow: number,
): (error: unknown, readLater: (byMicros: number) => unknown) => Promise<void> {
  let shared: Promise<number> | null = null
  return async (error, readLater) => {
    if (!(error instanceof LockstepError) || error.details['reason'] !== 'future') return
    shared ??= sharedNowMicros(db, Number.POSITIVE_INFINITY)
    const behind = (await shared) - ownNow
    if (behind < leastBehindMicros) return
    try {
      readLater(behind)
    } catch {
      return
    }
    const seconds = Math.round(behind / 1e6)
    throw new LockstepError(
      'NOT_READY',
      `The clock of this process is ${seconds} s behind the database's, so the events lie too far in its future. Nothing was written. Synchronize both clocks by NTP.`,
      { cause: error, details: { secondsBehind: seconds } },
    )
  }
}
