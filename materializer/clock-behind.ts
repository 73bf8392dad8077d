import { LockstepError } from '../kernel/errors.ts'
import type { Database } from '../runtime/database.ts'
import { sharedNowMicros } from '../runtime/database-clock.ts'

const leastBehindMicros = 1_000_000

/**
 * Checks an event that was refused because it lies in the future. If it does not by the clock of the database, the
 * clock of this process is wrong and not the event, which its sender or stream must not give up.
 *
 * @param error what the reader of events threw, for any reason
 * @param ownNow the clock of this process when it received the event, epoch microseconds
 * @param readLater reads the event again, as received so many microseconds later
 * @throws LockstepError `NOT_READY`
 */
export async function refuseIfBehind(
  db: Pick<Database, 'query'>,
  error: unknown,
  ownNow: number,
  readLater: (byMicros: number) => unknown,
): Promise<void> {
  if (!(error instanceof LockstepError) || error.details['reason'] !== 'future') return
  const behind = (await sharedNowMicros(db, Number.POSITIVE_INFINITY)) - ownNow
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
