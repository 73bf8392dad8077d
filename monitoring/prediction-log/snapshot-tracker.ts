import { messageOf } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/database.ts'
import type { Logger } from '../../runtime/log.ts'

/** Which transactions had ended at about a moment, as `pg_current_snapshot()` has it; null: that is not known yet. */
export interface TakenSnapshot {
  snapshot: string | null
}

/** Tells which rows were there when something was answered. */
export interface SnapshotTracker {
  /**
   * Of now, or of a second ago at most; where nothing was asked for so long, of the moment that the database takes to
   * say. Never throws.
   */
  now(): TakenSnapshot
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  ask(): Promise<string>
}

const askAgainMs = 1000

export function createSnapshotTracker(database: () => Database, log: Logger): SnapshotTracker {
  let latest: TakenSnapshot = { snapshot: null }
  let askedAt = Number.NEGATIVE_INFINITY

  async function ask(): Promise<string> {
    const [row] = await database().query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot')
    return row?.snapshot ?? ''
  }

  async function fill(moment: TakenSnapshot): Promise<void> {
    try {
      moment.snapshot = await ask()
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'the PostgreSQL snapshot cannot be read yet')
    }
  }

  return {
    ask,
    now() {
      const now = performance.now()
      if (now - askedAt < askAgainMs) return latest
      askedAt = now
      latest = { snapshot: null }
      void fill(latest)
      return latest
    },
  }
}
