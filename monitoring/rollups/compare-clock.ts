import { messageOf } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { uniqueProcessName } from '../../runtime/process-name.ts'
import { compareServerClock } from './clock-offset.ts'
import type { RollupRecorder } from './rollup-recorder.ts'
import { noRollups } from './rollup-recorder.ts'

const everyMs = 60_000
/** Processes do not write at the same moment. */
const spreadMs = 10_000

/** Records no rollups, but compares the clock of this process with the database's each minute, as rollups do. */
export function compareClock(database: () => Database, log: Logger, clock: () => number): RollupRecorder {
  const process = uniqueProcessName()
  let timer: NodeJS.Timeout | null = null

  async function compare(): Promise<void> {
    try {
      await compareServerClock(database(), process, clock)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the clock cannot be compared with that of the database')
    }
  }

  function schedule(): void {
    timer = setTimeout(() => void compare().finally(() => timer !== null && schedule()), everyMs - Math.random() * spreadMs).unref()
  }

  schedule()
  return {
    ...noRollups,
    flush: compare,
    async close() {
      clearTimeout(timer ?? undefined)
      timer = null
    },
  }
}
