import { messageOf } from '../../kernel/errors.ts'
import { maxSecondsOff, offsetText, readClockOffset, secondsOff } from '../../monitoring/rollups/clock-offset.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'

/** Watches whether the clock of this machine agrees with that of the database. */
interface ClockWatch {
  /** At most one sentence, as of the last look. */
  readonly warnings: readonly string[]
  /** Never rejects. */
  check(db: Pick<Database, 'query'>): Promise<void>
}

/** @param who whose clock it is */
export function createClockWatch(log: Logger, who: 'this server' | 'this worker' = 'this server'): ClockWatch {
  let warnings: readonly string[] = []
  return {
    get warnings() {
      return warnings
    },
    async check(db) {
      try {
        const found = await readClockOffset(db, () => Date.now() * 1000, 1)
        if (found === null) return
        const isOff = secondsOff(found) >= maxSecondsOff
        const warning = offsetText(who, found)
        if (isOff && warnings.length === 0) log.warn({ warning }, 'the clock differs from that of the database')
        warnings = isOff ? [warning] : []
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'Lockstep cannot compare the clock with that of the database')
      }
    },
  }
}
