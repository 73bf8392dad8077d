import { LockstepError } from '../../kernel/errors.ts'
import { pendingMigrations } from '../../migrations/migrate.ts'
import type { Database } from '../postgres/database.ts'
import { isTemporary } from '../is-temporary.ts'
import { sqlState } from '../postgres/relation.ts'

/** A table, a schema or a column is missing. */
const missing: readonly string[] = ['42P01', '3F000', '42703']

/** Notices that the database was replaced by one without Lockstep's tables: by a restore, or under another name. */
export interface WatchedTables {
  /**
   * Why a statement failed, if that is the reason: then the process waits, as for a database that is down. null: for
   * another one.
   */
  whyLost(error: unknown): Promise<unknown>
}

export function watchTables(db: Database): WatchedTables {
  let lost = false
  return {
    async whyLost(error) {
      if (!missing.includes(sqlState(error))) return null
      const wasLost = lost
      try {
        const pending = await pendingMigrations(db.kysely)
        lost = pending.length > 0
        // they may have come back since the statement failed
        if (!lost) return wasLost ? error : null
        return new LockstepError(
          'MIGRATIONS_PENDING',
          'The database lacks tables of Lockstep that it had before, so it was replaced or emptied. Restore it, or run "lockstep migrate" to begin with an empty one.',
          { cause: error, details: { pending } },
        )
      } catch (cause) {
        return isTemporary(cause) ? cause : null
      }
    },
  }
}
