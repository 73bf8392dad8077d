import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { PostgresPoolClient } from 'kysely'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { LockstepError } from '../kernel/errors.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import { typeParsers } from './type-parsers.ts'
import { copyTuples } from './copy-out.ts'
import type { Database, QueryOptions } from './database.ts'
import { oneStatement, preparedStatement } from './one-statement.ts'
import { listenerLocks, listenOnPostgres } from './postgres-listener.ts'
import type { PostgresSessions } from './postgres-sessions.ts'
import { createPostgresSessions, stopSessions } from './postgres-sessions.ts'
import { backendOf, withPostgresSnapshot } from './postgres-snapshot.ts'
import { isTooManyConnections, isUnavailable, postgresUnavailable } from './postgres-unavailable.ts'
import { stableInt32 } from './stable-id.ts'
import type { Timed } from './round-trips.ts'
import { untimed } from './round-trips.ts'
import { createSemaphore, orTimeout, randomBackoffMs, sleep, startPatientTimer, timedOut, withPatience } from './async.ts'

/** Including the start and end of a command, a failure is reported within 5 s. */
const connectTimeoutMs = 3_000
const pingTimeoutMs = 3_500
/** How long a close waits for what is under way. */
const closeMs = 2_000
const cutMs = 500
/** How long it waits before it connects again to a server that has too many connections. */
const fullBackoff = { firstMs: 50, maxMs: 500 }
/** The error message of pg for a connection timeout. */
const silentText = 'timeout expired'
export const poolSize = 10
const maxSnapshots = 8

/** Session settings, independent of the defaults of role and database. */
const session = ['TimeZone=UTC', 'DateStyle=ISO', 'bytea_output=hex', 'extra_float_digits=1', 'idle_in_transaction_session_timeout=0']

export interface PostgresOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * Measure statements, reads of rows by COPY, and writes by COPY, once they have a connection. Default: not measured.
   */
  readonly timers?: { readonly query: Timed; readonly read: Timed; readonly copy: Timed } | undefined
}

/**
 * Opens PostgreSQL 15 or newer. It connects at the first call, so a server can start while its database is down. If the
 * database is unreachable, or has no free connection for 3 s, calls throw `POSTGRES_UNAVAILABLE` within 5 s. A `ping`
 * without an answer closes every connection, because statements on a silent server would wait for hours. Statements
 * share 10 connections. Snapshots and their streams use separate connections, one for each, so they cannot wait for
 * each other.
 *
 * @param url as `postgres://user:password@host:5432/database`, with the parameters that `pg` knows
 * @param options.signal when it is aborted, all statements are cancelled on the server. Later statements, for cleanup,
 *   get 0.25 s. After 0.75 s no statement starts, and after 1 s all connections are closed.
 */
export function openPostgres(url: string, options: PostgresOptions = {}): Database {
  const { timers } = options
  const target = parseTarget(url)
  const sessions = createPostgresSessions(target.url)
  const statements = createPool(target.url, poolSize, sessions)
  const streams = createPool(target.url, Number.POSITIVE_INFINITY, sessions)
  let stopped = false
  let stopping: Promise<void> | null = null
  const stop = () => void (stopping = stopSessions(sessions, () => (stopped = true)))
  options.signal?.addEventListener('abort', stop, { once: true })
  const explain = (error: unknown) => (isUnavailable(error) ? postgresUnavailable(target.server, error) : error)
  const connect = async (pool: pg.Pool) => {
    const until = performance.now() + connectTimeoutMs
    for (let failures = 1; ; failures++) {
      if (stopped) options.signal?.throwIfAborted()
      try {
        return await pool.connect()
      } catch (error) {
        // one of the others may soon be free
        if (!isTooManyConnections(error) || performance.now() > until) throw postgresUnavailable(target.server, error)
      }
      await sleep(randomBackoffMs(failures, fullBackoff))
    }
  }
  const kysely = new Kysely<LockstepTables>({
    dialect: new PostgresDialect({ pool: { options: {}, connect: connectKysely, end: async () => undefined } }),
  })
  const [ask, timeRead, timeCopy] = [timers?.query ?? untimed, timers?.read ?? untimed, timers?.copy ?? untimed]
  const slots = createSemaphore({ permits: maxSnapshots })
  const listeners = new Set<() => Promise<void>>()
  let closing: Promise<unknown> | null = null

  /** Kysely also sends only single statements. */
  async function connectKysely(): Promise<PostgresPoolClient> {
    const client = await connect(statements)
    const query = (text: string, values: readonly unknown[]) => ask(() => client.query(oneStatement(text, values)))
    const own: PostgresPoolClient = Object.create(client, { query: { value: query } })
    return own
  }

  /** Runs `fn` on a connection, which is returned to the pool only after success. */
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

  /** Takes the lock on its own connection; null if `tryLock` did not get it. */
  async function lock(how: 'pg_advisory_lock' | 'pg_try_advisory_lock', group: number, id: number): Promise<(() => Promise<void>) | null> {
    const client = await connect(streams)
    try {
      const { rows } = await client.query<{ taken: unknown }>(`SELECT ${how}($1, $2) AS taken`, [group, id])
      if (rows[0]?.taken === false) {
        client.release()
        return null
      }
    } catch (error) {
      client.release(true)
      throw explain(error)
    }
    return async () => {
      const unlocked = await client.query('SELECT pg_advisory_unlock($1, $2)', [group, id]).catch(() => null)
      client.release(unlocked === null)
    }
  }

  async function closeAll(): Promise<void> {
    await Promise.all([...listeners].map((stop) => stop()))
    // a cut statement runs on until the server receives a cancel request
    if (stopped) await stopping
    const ended = Promise.all([kysely.destroy(), statements.end(), streams.end()])
    if ((await orTimeout(ended, closeMs)) !== timedOut) return
    await sessions.cancel(0)
    sessions.cut()
    // clients that are still checked out lose their connection
    await orTimeout(ended, cutMs)
  }

  const database: Database = {
    kind: 'postgres',
    kysely,
    async query<Row>(sql: string, parameters: readonly unknown[] = [], options: QueryOptions = {}) {
      const { signal, prepared } = options
      signal?.throwIfAborted()
      const client = await connect(statements)
      const cancelling: Promise<unknown>[] = []
      const cancel = () => {
        const cancelled = withClient(streams, (other) => other.query('SELECT pg_cancel_backend($1)', [backendOf(client)]), true)
        cancelling.push(cancelled.catch(() => undefined))
      }
      signal?.addEventListener('abort', cancel)
      try {
        const statement = prepared === true ? preparedStatement(sql, parameters) : oneStatement(sql, parameters)
        return (await ask(() => client.query(statement))).rows as Row[]
      } catch (error) {
        signal?.throwIfAborted()
        throw explain(error)
      } finally {
        signal?.removeEventListener('abort', cancel)
        await Promise.all(cancelling)
        // a late cancellation would hit the next statement
        client.release(cancelling.length > 0)
      }
    },
    // the connection is closed, because a script may leave settings behind
    script: (sql) => withClient(streams, async (client) => void (await client.query(sql)), false),
    copyIn: (copy, chunks, around) =>
      withClient(
        streams,
        async (client) => {
          if (around !== undefined) await client.query('BEGIN')
          for (const statement of around?.before ?? []) await client.query(oneStatement(statement))
          const sink = client.query(copyFrom(copy))
          await timeCopy(() => pipeline(Readable.from(chunks, { objectMode: true }), sink))
          if (around !== undefined) {
            around.onRows((await client.query(oneStatement(around.after(sink.rowCount)))).rows)
            await client.query('COMMIT')
          }
          return sink.rowCount
        },
        true,
      ),
    tuples: (select, onBatch) => withClient(streams, (client) => timeRead(() => copyTuples(client, select, onBatch)), true),
    snapshot: (fn) => slots(() => withPostgresSnapshot({ connect: () => connect(streams), explain }, fn)),
    lock: async (group, id) => (await lock('pg_advisory_lock', group, id)) as () => Promise<void>,
    tryLock: (group, id) => lock('pg_try_advisory_lock', group, id),
    async listen(channel, onNotice) {
      const end = listenOnPostgres(() => connect(streams), channel, onNotice)
      const stop = async () => {
        listeners.delete(stop)
        await end()
      }
      listeners.add(stop)
      return stop
    },
    async listeners(channel) {
      // oid has no sign
      const rows = await database.query<{ holders: number }>(
        `SELECT count(DISTINCT pid)::int4 AS holders FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1::oid AND objid = $2::oid AND objsubid = 2
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        [listenerLocks, stableInt32(channel) >>> 0],
      )
      return rows[0]?.holders ?? 0
    },
    async ping() {
      const silent = new Error(silentText)
      const answer = withClient(streams, (client) => client.query('SELECT 1'), true)
      try {
        await withPatience(answer, pingTimeoutMs, () => postgresUnavailable(target.server, silent))
      } catch (error) {
        // a new connection may have been waited for, whose own timeout is shorter
        if (error instanceof LockstepError && error.cause === silent) sessions.cut()
        throw error
      }
    },
    async close() {
      closing ??= closeAll()
      await closing
    },
  }
  return database
}

function createPool(connectionString: string, max: number, sessions: PostgresSessions): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    keepAlive: true,
    types: { getTypeParser },
    // The pool's own limit would include the wait for a free connection, and that of a client passes during a stall.
    Client: class extends pg.Client {
      constructor(config: pg.ClientConfig = {}) {
        super(config)
        const session = { pid: () => backendOf(this), cut: () => void this.connection.stream.destroy() }
        sessions.open.add(session)
        const stop = startPatientTimer(connectTimeoutMs, () => this.connection.stream.destroy(new Error(silentText)))
        this.once('connect', stop)
        this.once('end', () => {
          stop()
          sessions.open.delete(session)
        })
      }
    },
  })
  // the pool replaces a connection that dies while idle; without a listener the error would end the process
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

function getTypeParser(oid: Parameters<typeof pg.types.getTypeParser>[0], format?: 'text' | 'binary') {
  return (format !== 'binary' && typeParsers.get(oid)) || pg.types.getTypeParser(oid, format)
}

/**
 * The URL with what every session sets; the server as `host:port` and the database's name, empty where the URL has
 * none: these may be printed.
 */
export function parseTarget(url: string): { url: string; server: string; database: string } {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw new LockstepError('CONFIG_INVALID', 'LOCKSTEP_POSTGRES_URL is not a URL; write "postgres://user:password@host:5432/database".')
  }
  const options = parsed.searchParams.get('options') ?? ''
  parsed.searchParams.set('options', [options, ...session.map((setting) => `-c ${setting}`)].join(' ').trim())
  // an application_name from the URL is appended, so that all sessions of Lockstep start with `lockstep`
  const name = parsed.searchParams.get('application_name') ?? ''
  parsed.searchParams.set('application_name', name.startsWith('lockstep') ? name : `lockstep ${name}`.trim())
  const host = parsed.searchParams.get('host') ?? (decodeURIComponent(parsed.hostname) || 'localhost')
  const server = `${host}:${parsed.searchParams.get('port') ?? (parsed.port || '5432')}`
  return { url: parsed.href, server, database: decodeURIComponent(parsed.pathname.slice(1)) }
}
