import { messageOf } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'

/** The transactions that had ended at about a moment, as `pg_current_snapshot()` gives them; null: not known yet. */
export interface TakenSnapshot {
  snapshot: string | null
}

/**
 * Keeps track of the transactions that have ended, so that an answer can be logged with the rows that it could include.
 */
export interface SnapshotTracker {
  /**
   * The snapshot of now, or of at most `maxAgeMs` ago. Where none was taken in that time, it is filled in when the
   * database answers. Never throws.
   */
  now(): TakenSnapshot
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  ask(): Promise<string>
}

export function createSnapshotTracker(database: () => Database, log: Logger, maxAgeMs: number): SnapshotTracker {
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
      if (now - askedAt < maxAgeMs) return latest
      askedAt = now
      latest = { snapshot: null }
      void fill(latest)
      return latest
    },
  }
}
