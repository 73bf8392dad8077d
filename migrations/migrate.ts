import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { Migrator } from 'kysely/migration'
import { migrations } from './list.ts'
import type { LockstepTables } from './schema.ts'

const advisoryLock = 5_496_228_817
const schema = 'lockstep'
/** The state of PostgreSQL if a statement waits for a lock for longer than `lock_timeout`. */
const lockNotAvailable = '55P03'
/** The state of PostgreSQL if the role may not do something. */
const insufficientPrivilege = '42501'
const table = 'migrations'

/**
 * Brings the database to this program's schema, in one transaction, under an advisory lock: of several concurrent
 * processes one migrates, and the others find nothing left to do. Programs call it through
 * runtime/postgres/migrated.ts, which knows the error codes.
 *
 * @param signal its abort ends the call before the next migration, and nothing is changed
 * @returns the names of the migrations that this call ran; empty where there was nothing to do
 */
export async function migrate(kysely: Kysely<LockstepTables>, signal?: AbortSignal): Promise<string[]> {
  return await kysely.connection().execute(async (db) => {
    try {
      await sql`select pg_advisory_lock(${sql.lit(advisoryLock)})`.execute(db)
    } catch (error) {
      throw failure('The migration of the database', error)
    }
    try {
      const migrator = new Migrator({
        db,
        provider: { getMigrations: () => Promise.resolve(signal === undefined ? { ...migrations } : stoppable(signal)) },
        migrationTableSchema: schema,
        migrationTableName: table,
        migrationLockTableName: `${table}_lock`,
      })
      const { error, results } = await migrator.migrateToLatest()
      if (error !== undefined) {
        signal?.throwIfAborted()
        const failed = results?.find(({ status }) => status === 'Error')?.migrationName
        const what = failed === undefined ? 'The migration of the database' : `The migration "${failed}"`
        throw failure(what, error)
      }
      return (results ?? []).map(({ migrationName }) => migrationName)
    } finally {
      await sql`select pg_advisory_unlock(${sql.lit(advisoryLock)})`.execute(db)
    }
  })
}

/** The embedded database blocks the process, so each migration first lets it take the signal. */
function stoppable(signal: AbortSignal): Record<string, Migration> {
  const guarded = (migration: Migration): Migration => ({
    async up(db) {
      await nextTurn()
      signal.throwIfAborted()
      await migration.up(db)
    },
  })
  return Object.fromEntries(Object.entries(migrations).map(([name, migration]) => [name, guarded(migration)]))
}

function failure(what: string, cause: unknown): Error {
  return new Error(`${what} failed, and nothing was changed: ${reasonOf(cause)}.`, { cause })
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason given'
  const code = 'code' in error ? error.code : undefined
  if (code === insufficientPrivilege) return `${error.message}. Run "lockstep doctor", which prints the grants that the role lacks`
  if (code !== lockNotAvailable) return error.message
  return `another session has held a lock for too long (${error.message}). End it, or run the migration again when it has ended`
}

/** The names of the migrations that `migrate` would run. Reads only, and works on an empty database. */
export async function pendingMigrations(kysely: Kysely<LockstepTables>): Promise<string[]> {
  const done = new Set(await executedMigrations(kysely))
  return Object.keys(migrations).filter((name) => !done.has(name))
}

/** The names of the migrations that the database has and this program does not know: a newer version has run them. */
export async function unknownMigrations(kysely: Kysely<LockstepTables>): Promise<string[]> {
  return (await executedMigrations(kysely)).filter((name) => !(name in migrations))
}

async function executedMigrations(kysely: Kysely<LockstepTables>): Promise<string[]> {
  const found = await sql<{ present: boolean }>`select to_regclass(${`${schema}.${table}`}) is not null as present`.execute(kysely)
  if (found.rows[0]?.present !== true) return []
  const executed = await sql<{ name: string }>`select name from ${sql.table(`${schema}.${table}`)} order by name`.execute(kysely)
  return executed.rows.map(({ name }) => name)
}
