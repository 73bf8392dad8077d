import type { Kysely } from 'kysely'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { migrate, pendingMigrations, unknownMigrations } from '../../migrations/migrate.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { isUnavailable } from './postgres-unavailable.ts'

/**
 * Creates Lockstep's own tables, or brings them up to date. Safe at any time and from several processes at once.
 *
 * @param options.what which database it is, for the message
 * @param options.signal its abort ends the call before the next migration, and nothing is changed
 * @returns the names of the migrations that this call ran; empty where there was nothing to do
 * @throws LockstepError `SCHEMA_NEWER` where a newer Lockstep has migrated the database, `INTERNAL` where a migration
 *   fails
 */
export async function migrateDatabase(
  kysely: Kysely<LockstepTables>,
  { what = 'The database', signal }: { readonly what?: string; readonly signal?: AbortSignal } = {},
): Promise<string[]> {
  await refuseNewer(kysely, what)
  try {
    return await migrate(kysely, signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof LockstepError || isUnavailable(error)) throw error
    throw new LockstepError('INTERNAL', messageOf(error), { cause: error })
  }
}

/**
 * For servers and commands that need the schema as it is here.
 *
 * @param what which database it is, for the message
 * @throws LockstepError `MIGRATIONS_PENDING`, or `SCHEMA_NEWER` where a newer Lockstep has migrated the database
 */
export async function requireMigrated(kysely: Kysely<LockstepTables>, what = 'The database'): Promise<void> {
  await refuseNewer(kysely, what)
  const pending = await pendingMigrations(kysely)
  if (pending.length === 0) return
  const [first] = pending
  const which = pending.length === 1 ? `the migration "${first}"` : `${pending.length} migrations, starting with "${first}"`
  throw new LockstepError('MIGRATIONS_PENDING', `${what} lacks ${which}; run "lockstep migrate".`, {
    details: { pending },
  })
}

async function refuseNewer(kysely: Kysely<LockstepTables>, what: string): Promise<void> {
  const [unknown] = await unknownMigrations(kysely)
  if (unknown === undefined) return
  throw new LockstepError(
    'SCHEMA_NEWER',
    `${what} has the migration "${unknown}", which this version of Lockstep does not know: a newer version has migrated it. Install that version or a later one.`,
    { details: { migration: unknown } },
  )
}
