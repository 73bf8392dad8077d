import { pendingMigrations, unknownMigrations } from '../../migrations/migrate.ts'
import { maxSecondsOff, offsetText, readServerClocks, secondsOff } from '../../monitoring/rollups/clock-offset.ts'
import { foreignRowsAdvice } from '../../offline/rows/foreign-rows.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import { isEmbedded } from '../../runtime/postgres/database.ts'
import { poolSize } from '../../runtime/postgres/open-postgres.ts'
import type { Answer } from './check.ts'
import { note, ok, wrong } from './check.ts'
import { skewAnswer } from './clock-skew.ts'

const oldestVersion = 15

interface ServerRow {
  readonly version: string
  readonly number: number
  readonly encoding: string
  readonly readOnly: boolean
}

/** @param name which database it is, without user and password */
export async function checkDatabase(db: Database, name: string): Promise<Answer[]> {
  const [server] = await db.query<ServerRow>(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
           current_setting('server_encoding') AS encoding, current_setting('transaction_read_only')::bool AS "readOnly"`)
  if (server === undefined) return [wrong(`${name} does not say what it is.`)]
  const { version, number, encoding, readOnly } = server
  const answers = [
    number < oldestVersion * 10_000
      ? wrong(`${name} answers as PostgreSQL ${version}. Lockstep needs PostgreSQL ${oldestVersion} or newer.`)
      : ok(`${name} answers: PostgreSQL ${version}.`),
  ]
  if (encoding !== 'UTF8')
    answers.push(wrong(`Its encoding is ${encoding}, which cannot hold all texts. Create the database with ENCODING 'UTF8'.`))
  if (readOnly) answers.push(wrong('It accepts no writes. Set LOCKSTEP_POSTGRES_URL to the primary, or make the database writable.'))
  const foreign = await foreignRowsAdvice(db)
  if (foreign !== null) answers.push(wrong(foreign))
  return answers
}

export async function checkMigrations({ kysely }: Database): Promise<Answer> {
  const unknown = await unknownMigrations(kysely)
  if (unknown.length > 0)
    return wrong(`A newer Lockstep has migrated the database ("${unknown.at(-1)}"). Install that version or a later one.`)
  const pending = await pendingMigrations(kysely)
  if (pending.length > 0) return wrong(`${pending.length} are missing, from "${pending[0]}" on. Run "lockstep migrate".`)
  return ok('All are applied.')
}

interface RightsRow {
  readonly create: boolean
  readonly temporary: boolean
  readonly schemas: readonly string[] | null
  readonly tables: readonly string[] | null
  /** The partitioned tables of others, and who owns the first of them. */
  readonly foreign: readonly string[] | null
  readonly owner: string | null
  readonly ownerIsSuperuser: boolean | null
  readonly user: string
  readonly database: string
}

/**
 * What a process of Lockstep needs: to create tables, to write all of Lockstep's, and to create partitions, which only
 * a table's owner may. To create schemas is needed before the first migration only.
 */
export async function checkRights(db: Database): Promise<Answer[]> {
  if (isEmbedded(db)) return [ok('All, in the embedded database.')]
  const [rights] = await db.query<RightsRow>(`
    WITH tables AS (
      SELECT c.oid, c.relkind, c.relowner, format('%I.%I', nspname, relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE nspname IN ('lockstep', 'lockstep_source') AND relkind IN ('r', 'p') AND NOT relispartition),
    others AS (SELECT name, relowner FROM tables WHERE relkind = 'p' AND NOT pg_has_role(relowner, 'USAGE'))
    SELECT has_database_privilege(current_database(), 'CREATE')
             OR (SELECT count(*) = 2 FROM pg_namespace WHERE nspname IN ('lockstep', 'lockstep_source')) AS create,
           has_database_privilege(current_database(), 'TEMPORARY') AS temporary,
           current_user::text AS user, current_database()::text AS database,
           (SELECT array_agg(nspname::text) FROM pg_namespace
            WHERE nspname IN ('lockstep', 'lockstep_source')
              AND NOT (has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE'))) AS schemas,
           (SELECT array_agg(name) FROM tables
            WHERE NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                       AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))) AS tables,
           (SELECT array_agg(name ORDER BY name) FROM others) AS foreign,
           (SELECT pg_get_userbyid(relowner)::text FROM others ORDER BY name LIMIT 1) AS owner,
           (SELECT rolsuper FROM others JOIN pg_roles r ON r.oid = relowner ORDER BY name LIMIT 1) AS "ownerIsSuperuser"`)
  if (rights === undefined) return [wrong('The database does not report them.')]
  const { user, database, create, temporary, schemas, tables, foreign, owner, ownerIsSuperuser } = rights
  const grants = [
    ...(create ? [] : [`GRANT CREATE ON DATABASE "${database}" TO "${user}"`]),
    ...(temporary ? [] : [`GRANT TEMPORARY ON DATABASE "${database}" TO "${user}"`]),
    // a member of the owner has the rest
    ...(foreign === null ? grantsOn(user, schemas ?? [], tables ?? []) : []),
  ]
  const answers: Answer[] = grants.length === 0 ? [] : [wrong(`"${user}" lacks some: ${grants.join('; ')}.`)]
  if (foreign !== null) {
    const what = `"${user}" is not a member of "${owner}", which owns ${foreign.join(' and ')}`
    const then =
      schemas !== null || tables !== null
        ? 'It lacks rights on the tables, and cannot create their partitions'
        : 'It cannot create their partitions, so from the next day on predictions and statistics are lost'
    const remedy =
      ownerIsSuperuser === true
        ? `"${owner}" is a superuser, so do not grant it. Run in psql as "${owner}": ${ownershipFor(user)}`
        : `Connect as "${owner}", or run: GRANT "${owner}" TO "${user}".`
    answers.push(wrong(`${what}. ${then}. ${remedy}`))
  }
  return answers.length > 0 ? answers : [ok(`"${user}" may create tables and partitions, and write Lockstep's.`)]
}

/** Statements of psql that make the role the owner of Lockstep's schemas and tables. */
function ownershipFor(user: string): string {
  const schemas = ['lockstep', 'lockstep_source']
  const tables = `SELECT format('ALTER TABLE %s OWNER TO %I', oid::regclass, ${sqlText(user)}) FROM pg_class WHERE relnamespace::regnamespace::text IN (${schemas.map(sqlText).join(', ')}) AND relkind IN ('r', 'p')`
  return `${schemas.map((schema) => `ALTER SCHEMA ${schema} OWNER TO ${sqlIdentifier(user)};`).join(' ')} ${tables} \\gexec`
}

function grantsOn(user: string, schemas: readonly string[], tables: readonly string[]): string[] {
  return [
    ...schemas.map((schema) => `GRANT CREATE, USAGE ON SCHEMA ${schema} TO "${user}"`),
    ...(tables.length === 0 ? [] : [`GRANT SELECT, INSERT, UPDATE, DELETE ON ${tables.join(', ')} TO "${user}"`]),
  ]
}

interface ConnectionsRow {
  readonly max: number
  readonly reserved: number
  readonly used: number
}

/**
 * Whether one more process of Lockstep finds free connections. `pg_stat_activity` hides the type of other users'
 * sessions; `pg_stat_database` counts all of them, and the few background processes of databases.
 */
export async function checkConnections(db: Database): Promise<Answer> {
  if (isEmbedded(db)) return ok('The embedded database serves this process.')
  const [row] = await db.query<ConnectionsRow>(`
    SELECT current_setting('max_connections')::int AS max,
           current_setting('superuser_reserved_connections')::int AS reserved,
           (SELECT sum(numbackends)::int FROM pg_stat_database) AS used`)
  const { max = 0, reserved = 0, used = 0 } = row ?? {}
  const free = max - reserved - used
  const text = `${free} of ${max} connections are free. A server process takes up to 20 and a worker up to 40, but usually a few`
  return free < poolSize ? wrong(`${text}. Raise max_connections, or use a pooler in session mode.`) : ok(`${text}.`)
}

/** The servers whose clock was wrong when they last compared it. */
export async function checkServerClocks(db: Database): Promise<Answer[]> {
  const servers = await readServerClocks(db)
  return servers
    .filter((server) => secondsOff(server) >= maxSecondsOff)
    .map((server) => wrong(offsetText(`the server "${server.process}"`, server)))
}

export async function checkDatabaseClock(db: Database): Promise<Answer> {
  if (isEmbedded(db)) return ok("The embedded database uses this machine's clock.")
  const before = Date.now()
  const [row] = await db.query<{ now: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now')
  const after = Date.now()
  return row === undefined
    ? note('The database does not report its time.')
    : skewAnswer('PostgreSQL', row.now - (before + after) / 2, (after - before) / 2)
}
