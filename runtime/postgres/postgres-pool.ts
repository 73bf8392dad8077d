import pg from 'pg'
import { LockstepError } from '../../kernel/errors.ts'
import { randomBackoffMs, sleep, startPatientTimer } from '../async.ts'
import type { PostgresSessions } from './postgres-sessions.ts'
import type { PrepareSession } from './prepare-session.ts'
import { backendPid } from './postgres-snapshot.ts'
import type { PostgresServers } from './postgres-servers.ts'
import { failureOfAll, isTooManyConnections, isUnavailable, postgresUnavailable, silentText } from './postgres-unavailable.ts'
import { typeParsers } from './type-parsers.ts'

/** Including the start and end of a command, a failure is reported within 5 s. Several servers share it. */
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
  readonly servers: PostgresServers
  readonly sessions: PostgresSessions
  readonly prepare: PrepareSession
  /** Throws if no connection may be taken any more. */
  readonly requireOpen: () => void
  /** Called with each error that the server sends. */
  readonly onError: (error: Error) => void
}

/** @param server the names of all servers */
export function createPostgresPool(server: string, max: number, deps: PostgresPoolDeps): PostgresPool {
  const { servers, requireOpen } = deps
  const pool = createPool(max, deps)
  const explain = (error: unknown): unknown => (isUnavailable(error) ? postgresUnavailable(server, error) : error)

  async function connect(): Promise<pg.PoolClient> {
    const until = performance.now() + connectTimeoutMs
    for (let rounds = 1; ; rounds++) {
      const failures: { readonly server: string; readonly error: unknown }[] = []
      while (failures.length < servers.count) {
        requireOpen()
        const { at } = servers
        try {
          return await pool.connect()
        } catch (error) {
          if (error instanceof LockstepError) throw error
          failures.push({ server: servers.name(at), error })
          servers.leave(at)
        }
      }
      // one of the others may soon be free
      if (!failures.some(({ error }) => isTooManyConnections(error)) || performance.now() > until)
        throw postgresUnavailable(server, failureOfAll(failures))
      await sleep(randomBackoffMs(rounds, fullBackoff))
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

function createPool(max: number, { servers, sessions, prepare, onError }: Omit<PostgresPoolDeps, 'requireOpen'>): pg.Pool {
  const pool = new pg.Pool({
    max,
    keepAlive: true,
    types: { getTypeParser },
    onConnect: prepare,
    // The pool's own limit would include the wait for a free connection, and that of a client passes during a stall.
    Client: class extends pg.Client {
      constructor(config: pg.ClientConfig = {}) {
        const { url } = servers
        super({ ...config, connectionString: url })
        const session = { client: this, url, pid: () => backendPid(this), cut: () => void this.connection.stream.destroy() }
        sessions.open.add(session)
        this.connection.on('errorMessage', onError)
        const stop = startPatientTimer(connectTimeoutMs / servers.count, () => this.connection.stream.destroy(new Error(silentText)))
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
