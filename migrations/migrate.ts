import { type Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { migrations } from './list.ts'
import type { LockstepTables } from './schema.ts'

const ADVISORY_LOCK = 5_496_228_817
const SCHEMA = 'lockstep'
const TABLE = 'migrations'

/**
 * Brings the database to this program's schema, in one transaction, under an advisory lock: of several processes at once, one works and the
 * others find it done.
 *
 * @returns the names of the migrations that this call ran; empty where there was nothing to do
 * @throws LockstepError `SCHEMA_NEWER` where a newer Lockstep has migrated the database
 */
export async function migrate(kysely: Kysely<LockstepTables>): Promise<string[]> {
  return await kysely.connection().execute(async (db) => {
    await sql`select pg_advisory_lock(${sql.lit(ADVISORY_LOCK)})`.execute(db)
    try {
      await refuseNewer(db)
      const migrator = new Migrator({
        db,
        provider: { getMigrations: () => Promise.resolve({ ...migrations }) },
        migrationTableSchema: SCHEMA,
        migrationTableName: TABLE,
        migrationLockTableName: `${TABLE}_lock`,
      })
      const { error, results } = await migrator.migrateToLatest()
      if (error !== undefined) {
        const failed = results?.find(({ status }) => status === 'Error')?.migrationName
        const what = failed === undefined ? 'The migration of the database' : `The migration "${failed}"`
        throw new LockstepError('INTERNAL', `${what} failed, and nothing was changed: ${messageOf(error)}.`, { cause: error })
      }
      return (results ?? []).map(({ migrationName }) => migrationName)
    } finally {
      await sql`select pg_advisory_unlock(${sql.lit(ADVISORY_LOCK)})`.execute(db)
    }
  })
}

/** The names of the migrations that `migrate` would run. Reads only, and works on an empty database. */
export async function pendingMigrations(kysely: Kysely<LockstepTables>): Promise<string[]> {
  const done = new Set(await executedMigrations(kysely))
  return Object.keys(migrations).filter((name) => !done.has(name))
}

/**
 * For servers and commands that need the schema as it is here.
 *
 * @throws LockstepError `MIGRATIONS_PENDING`, or `SCHEMA_NEWER` where a newer Lockstep has migrated the database
 */
export async function requireMigrated(kysely: Kysely<LockstepTables>): Promise<void> {
  await refuseNewer(kysely)
  const pending = await pendingMigrations(kysely)
  if (pending.length === 0) return
  const names = pending.map((name) => `"${name}"`).join(', ')
  throw new LockstepError('MIGRATIONS_PENDING', `The database lacks the migrations ${names}; run "lockstep migrate".`, {
    details: { pending },
  })
}

async function refuseNewer(kysely: Kysely<LockstepTables>): Promise<void> {
  const unknown = (await executedMigrations(kysely)).find((name) => !(name in migrations))
  if (unknown === undefined) return
  throw new LockstepError(
    'SCHEMA_NEWER',
    `The database has the migration "${unknown}", which this Lockstep does not know: a newer one has migrated it. Install that or a later version.`,
    { details: { migration: unknown } },
  )
}

async function executedMigrations(kysely: Kysely<LockstepTables>): Promise<string[]> {
  const table = sql`select to_regclass(${`${SCHEMA}.${TABLE}`}) is not null as present`
  const { rows } = await sql<{ present: boolean }>`${table}`.execute(kysely)
  if (rows[0]?.present !== true) return []
  const executed = await sql<{ name: string }>`select name from ${sql.table(`${SCHEMA}.${TABLE}`)} order by name`.execute(kysely)
  return executed.rows.map(({ name }) => name)
}
