import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { LockstepError } from '../kernel/errors.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import { controlValues } from './control-values.ts'
import type { Database } from './database.ts'
import { withPostgresSnapshot } from './postgres-snapshot.ts'
import { isUnavailable, postgresUnavailable } from './postgres-unavailable.ts'

const CONNECT_TIMEOUT_MS = 4_000
const POOL_SIZE = 10

/** What every session sets, whatever the defaults of its role and database are. */
const SESSION = ['TimeZone=UTC', 'DateStyle=ISO', 'bytea_output=hex', 'extra_float_digits=1', 'idle_in_transaction_session_timeout=0']

/**
 * Opens PostgreSQL, 15 or newer. Nothing is connected before the first call, so that a server can start while its database is away; what cannot be
 * reached throws `POSTGRES_UNAVAILABLE` within 5 s. Statements share 10 connections; snapshots and their streams have their own beside them, as
 * many as run at once, so that they cannot wait for each other.
 *
 * @param url as `postgres://user:password@host:5432/database`, with the parameters that `pg` knows
 */
export function openPostgres(url: string): Database {
  const target = parseTarget(url)
  const statements = createPool(target.url, POOL_SIZE)
  const streams = createPool(target.url, Number.POSITIVE_INFINITY)
  const explain = (error: unknown) => (isUnavailable(error) ? postgresUnavailable(target.server, error) : error)
  const connect = (pool: pg.Pool) =>
    pool.connect().catch((error: unknown) => {
      throw postgresUnavailable(target.server, error)
    })
  const kysely = new Kysely<LockstepTables>({
    dialect: new PostgresDialect({ pool: { options: {}, connect: () => connect(statements), end: async () => undefined } }),
  })
  let closing: Promise<unknown> | null = null

  /** Runs `fn` on a connection, which goes back to the pool only after success. */
  async function withClient<T>(pool: pg.Pool, fn: (client: pg.PoolClient) => Promise<T>, reuse: boolean): Promise<T> {
    const client = await connect(pool)
    let result: T
    try {
      result = await fn(client)
    } catch (error) {
      client.release(true)
      throw explain(error)
    }
    client.release(!reuse)
    return result
  }

  const database: Database = {
    kind: 'postgres',
    kysely,
    async query<Row>(sql: string, parameters: readonly unknown[] = []) {
      const client = await connect(statements)
      try {
        return (await client.query(sql, [...parameters])).rows as Row[]
      } catch (error) {
        throw explain(error)
      } finally {
        client.release()
      }
    },
    // the connection is not used again: a script may leave settings behind
    script: (sql) => withClient(streams, async (client) => void (await client.query(sql)), false),
    copyIn: (copy, chunks) =>
      withClient(
        streams,
        async (client) => {
          const sink = client.query(copyFrom(copy))
          await pipeline(Readable.from(chunks, { objectMode: true }), sink)
          return sink.rowCount
        },
        true,
      ),
    snapshot: (fn) => withPostgresSnapshot({ connect: () => connect(streams), explain }, fn),
    async ping() {
      await database.query('SELECT 1')
    },
    async close() {
      closing ??= Promise.all([kysely.destroy(), statements.end(), streams.end()])
      await closing
    },
  }
  return database
}

function createPool(connectionString: string, max: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    keepAlive: true,
    types: { getTypeParser },
    // given to the client and not to the pool, where it would also limit the wait for a busy connection
    Client: class extends pg.Client {
      constructor(config: pg.ClientConfig = {}) {
        super({ ...config, connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
      }
    },
  })
  // a connection that dies while idle, or between two statements, is replaced by the pool; without listeners it would end the process
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

function getTypeParser(oid: Parameters<typeof pg.types.getTypeParser>[0], format?: 'text' | 'binary') {
  return (format !== 'binary' && controlValues.get(oid)) || pg.types.getTypeParser(oid, format)
}

function parseTarget(url: string): { url: string; server: string } {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw new LockstepError('CONFIG_INVALID', 'LOCKSTEP_POSTGRES_URL is not a URL; write "postgres://user:password@host:5432/database".')
  }
  const options = parsed.searchParams.get('options') ?? ''
  parsed.searchParams.set('options', [options, ...SESSION.map((setting) => `-c ${setting}`)].join(' ').trim())
  if (!parsed.searchParams.has('application_name')) parsed.searchParams.set('application_name', 'lockstep')
  const host = parsed.searchParams.get('host') ?? (decodeURIComponent(parsed.hostname) || 'localhost')
  return { url: parsed.href, server: `${host}:${parsed.searchParams.get('port') ?? (parsed.port || '5432')}` }
}
