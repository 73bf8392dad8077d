import pg from 'pg'
import { LockstepError } from '../kernel/errors.ts'
import { randomBackoffMs, sleep, startPatientTimer } from './async.ts'
import type { PostgresSessions } from './postgres-sessions.ts'
import type { PrepareSession } from './prepare-session.ts'
import { backendPid } from './postgres-snapshot.ts'
import type { PostgresTarget } from './postgres-target.ts'
import { isTooManyConnections, isUnavailable, postgresUnavailable, silentText } from './postgres-unavailable.ts'
import { typeParsers } from './type-parsers.ts'

/** Including the start and end of a command, a failure is reported within 5 s. */
const connectTimeoutMs = 3_000
/** How long it waits before it connects again to a server that has too many connections. */
const fullBackoff = { firstMs: 50, maxMs: 500 }

export interface PostgresPool {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE`, also if no connection is free for 3 s; as `requireOpen` */
  connect(): Promise<pg.PoolClient>
  /**
   * Runs `fn` on a connection, which is returned to the pool only after success.
   *
   * @param reuse false: never
   */
  run<T>(fn: (client: pg.PoolClient) => Promise<T>, reuse?: boolean): Promise<T>
  /** The error; one that says that the server is down is `POSTGRES_UNAVAILABLE`. */
  explain(error: unknown): unknown
  end(): Promise<void>
}

export interface PostgresPoolDeps {
  readonly sessions: PostgresSessions
  readonly prepare: PrepareSession
  /** Throws if no connection may be taken any more. */
  readonly requireOpen: () => void
  /** Called with each error that the server sends. */
  readonly onError: (error: Error) => void
}

export function createPostgresPool(
  { url, server }: PostgresTarget,
  max: number,
  { sessions, prepare, requireOpen, onError }: PostgresPoolDeps,
): PostgresPool {
  const pool = createPool(url, max, { sessions, prepare, onError })
  const explain = (error: unknown): unknown => (isUnavailable(error) ? postgresUnavailable(server, error) : error)

  async function connect(): Promise<pg.PoolClient> {
    const until = performance.now() + connectTimeoutMs
    for (let failures = 1; ; failures++) {
      requireOpen()
      try {
        return await pool.connect()
      } catch (error) {
        // one of the others may soon be free
        if (error instanceof LockstepError) throw error
        if (!isTooManyConnections(error) || performance.now() > until) throw postgresUnavailable(server, error)
      }
      await sleep(randomBackoffMs(failures, fullBackoff))
    }
  }

  return {
    connect,
    explain,
    end: () => pool.end(),
    async run(fn, reuse = true) {
      const client = await connect()
      try {
        const result = await fn(client)
        client.release(!reuse)
        return result
      } catch (error) {
        client.release(true)
        throw explain(error)
      }
    },
  }
}

function createPool(connectionString: string, max: number, { sessions, prepare, onError }: Omit<PostgresPoolDeps, 'requireOpen'>): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    keepAlive: true,
    types: { getTypeParser },
    onConnect: prepare,
    // The pool's own limit would include the wait for a free connection, and that of a client passes during a stall.
    Client: class extends pg.Client {
      constructor(config: pg.ClientConfig = {}) {
        super(config)
        const session = { pid: () => backendPid(this), cut: () => void this.connection.stream.destroy() }
        sessions.open.add(session)
        this.connection.on('errorMessage', onError)
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
