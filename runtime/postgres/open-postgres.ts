import type { PostgresPoolClient } from 'kysely'
import { Kysely, PostgresDialect } from 'kysely'
import type { QueryConfig, QueryResult } from 'pg'
import type { LockstepTables } from '../../migrations/schema.ts'
import { createSemaphore, orTimeout, timedOut, withPatience } from '../async.ts'
import { copyIn } from './copy-in.ts'
import { copyTuples } from './copy-out.ts'
import type { Database, QueryOptions } from './database.ts'
import { oneStatement, preparedStatement } from './one-statement.ts'
import { countPostgresListeners, listenOnPostgres } from './postgres-listener.ts'
import { takePostgresLock } from './postgres-lock.ts'
import type { PostgresPool } from './postgres-pool.ts'
import { createPostgresPool } from './postgres-pool.ts'
import { createPostgresSessions, stopSessions } from './postgres-sessions.ts'
import { backendPid, withPostgresSnapshot } from './postgres-snapshot.ts'
import { createPostgresServers } from './postgres-servers.ts'
import { parseTarget } from './postgres-target.ts'
import { createPrepareSession } from './prepare-session.ts'
import { isSilent, postgresUnavailable, readOnlyServer, silentText } from './postgres-unavailable.ts'
import type { Timed } from './round-trips.ts'
import { untimed } from './round-trips.ts'
import { sqlSignal } from './sql.ts'
import { createWriteObstacle } from '../write-obstacle.ts'

const pingTimeoutMs = 3_500
/** How long a close waits for what is under way. */
const closeMs = 2_000
const cutMs = 500
export const poolSize = 10
const maxSnapshots = 8
/** Changes when a standby is promoted. */
const askReadOnly = `SELECT current_setting('transaction_read_only')::bool AS "readOnly"`

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
 * @param url as `postgres://user:password@host:5432/database`, with the parameters that `pg` knows. Of several servers,
 *   `host:5432,host:5432`, it uses the first that can be used and accepts writes
 * @param options.signal when it is aborted, all statements are cancelled on the server. Later statements, for cleanup,
 *   get 0.25 s. After 0.75 s no statement starts, and after 1 s all connections are closed.
 */
export function openPostgres(url: string, { signal, timers }: PostgresOptions = {}): Database {
  const target = parseTarget(url)
  const servers = createPostgresServers(target)
  const sessions = createPostgresSessions(servers)
  let stopped = false
  let stopping: Promise<void> | null = null
  const stop = () => void (stopping = stopSessions(sessions, () => (stopped = true)))
  signal?.addEventListener('abort', stop, { once: true })
  const requireOpen = (): void => {
    if (stopped) signal?.throwIfAborted()
  }
  const obstacle = createWriteObstacle(() => target.server)
  const deps = { servers, sessions, prepare: createPrepareSession(servers), requireOpen, onError: obstacle.noteError }
  const statements = createPostgresPool(target.server, poolSize, deps)
  const streams = createPostgresPool(target.server, Number.POSITIVE_INFINITY, deps)
  const [timeQuery, timeRead, timeCopy] = [timers?.query ?? untimed, timers?.read ?? untimed, timers?.copy ?? untimed]
  const kysely = new Kysely<LockstepTables>({
    dialect: new PostgresDialect({ pool: { options: {}, connect: connectKysely, end: async () => undefined } }),
  })
  const slots = createSemaphore({ permits: maxSnapshots })
  const listeners = new Set<() => Promise<void>>()
  let closing: Promise<unknown> | null = null

  /** Kysely also sends only single statements. */
  async function connectKysely(): Promise<PostgresPoolClient> {
    const client = await statements.connect()
    const query = (text: string, values: readonly unknown[]) => timeQuery(() => client.query(oneStatement(text, values)))
    const own: PostgresPoolClient = Object.create(client, { query: { value: query } })
    return own
  }

  async function query<Row>(sql: string, parameters: readonly unknown[] = [], options: QueryOptions = {}): Promise<Row[]> {
    const statement = options.prepared === true ? preparedStatement(sql, parameters) : oneStatement(sql, parameters)
    return (await runStatement({ statements, streams, timed: timeQuery }, statement, options.signal)).rows as Row[]
  }

  async function closeAll(): Promise<void> {
    await Promise.all([...listeners].map((end) => end()))
    // a cut statement runs on until the server receives a cancel request
    if (stopped) await stopping
    const ended = Promise.all([kysely.destroy(), statements.end(), streams.end()])
    if ((await orTimeout(ended, closeMs)) !== timedOut) return
    await sessions.cancel(0)
    sessions.cut()
    // clients that are still checked out lose their connection
    await orTimeout(ended, cutMs)
  }

  return {
    kind: 'postgres',
    kysely,
    query,
    // the connection is closed, because a script may leave settings behind
    script: (sql) => streams.run(async (client) => void (await client.query(sql)), false),
    copyIn: (copy, chunks, around) => streams.run((client) => copyIn(client, copy, chunks, around, timeCopy)),
    tuples: (select, onBatch) => streams.run((client) => timeRead(() => copyTuples(client, select, onBatch))),
    snapshot: (fn) => slots(() => withPostgresSnapshot(streams, fn)),
    lock: async (group, id) => (await takePostgresLock(streams, 'pg_advisory_lock', group, id)) as () => Promise<void>,
    tryLock: (group, id) => takePostgresLock(streams, 'pg_try_advisory_lock', group, id),
    async listen(channel, onNotice) {
      const end = listenOnPostgres(streams.connect, channel, onNotice)
      const endOnce = async () => {
        listeners.delete(endOnce)
        await end()
      }
      listeners.add(endOnce)
      return endOnce
    },
    listeners: (channel) => countPostgresListeners(query, channel),
    async ping() {
      const answer = streams.run(async (client) => ({ client, ...(await client.query<{ readOnly: boolean }>(askReadOnly)) }))
      try {
        const { client, rows } = await withPatience(answer, pingTimeoutMs, () => postgresUnavailable(target.server, new Error(silentText)))
        const readOnly = rows[0]?.readOnly === true
        if (servers.count > 1) {
          // of several servers, another one may be the primary by now, and one that fell silent answers no statement
          sessions.cut(readOnly ? undefined : client)
          if (readOnly) throw postgresUnavailable(target.server, readOnlyServer())
        }
        obstacle.noteReadOnly(readOnly)
      } catch (error) {
        // the ping may have been sent, or have waited for a new connection
        if (isSilent(error)) sessions.cut()
        throw error
      }
    },
    obstacle: obstacle.current,
    async close() {
      closing ??= closeAll()
      await closing
    },
  }
}

interface StatementPlace {
  readonly statements: PostgresPool
  /** Where statements are cancelled from. */
  readonly streams: PostgresPool
  readonly timed: Timed
}

/** Runs a statement, which the server cancels when the signal comes. @throws the signal's reason */
async function runStatement(
  { statements, streams, timed }: StatementPlace,
  statement: QueryConfig,
  signal: AbortSignal | undefined,
): Promise<QueryResult> {
  signal?.throwIfAborted()
  const client = await statements.connect()
  const cancelling: Promise<unknown>[] = []
  const cancel = () => {
    const cancelled = streams.run((other) => other.query(sqlSignal(`SELECT pg_cancel_backend(${backendPid(client)})`)))
    cancelling.push(cancelled.catch(() => undefined))
  }
  signal?.addEventListener('abort', cancel)
  try {
    return await timed(() => client.query(statement))
  } catch (error) {
    signal?.throwIfAborted()
    throw statements.explain(error)
  } finally {
    signal?.removeEventListener('abort', cancel)
    await Promise.all(cancelling)
    // a late cancellation would hit the next statement
    client.release(cancelling.length > 0)
  }
}
