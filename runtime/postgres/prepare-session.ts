import pg from 'pg'
import { LockstepError } from '../../kernel/errors.ts'
import type { PostgresServers } from './postgres-servers.ts'
import { sessionSettings } from './postgres-target.ts'
import { readOnlyServer } from './postgres-unavailable.ts'
import { sqlText } from './sql.ts'

/** Both steps of a probe that waits for a session take less than a ping may. */
const probeTimeoutMs = 1_500
/** Another client of the pooler may take the session that a probe waits for. */
const probes = 3
const shown = sessionSettings.map(([name]) => `current_setting(${sqlText(name)})`)
const ask = `SELECT pg_backend_pid() AS pid, current_setting('transaction_read_only')::bool AS "readOnly", ARRAY[${shown.join(', ')}] AS settings`

/**
 * Prepares a new connection for its first statement, in one round trip if it leads directly to PostgreSQL.
 *
 * @throws LockstepError `POSTGRES_UNAVAILABLE`, if a pooler gives each transaction another session
 */
export type PrepareSession = (client: pg.ClientBase) => Promise<void>

/**
 * A direct connection has Lockstep's settings from its start. A pooler in session mode may drop them, so they are set
 * again. It also reports another process id than that of the server, by which no statement can be cancelled, so the
 * server's replaces it. A pooler in transaction mode is refused: an advisory lock would stay with a session that is no
 * longer ours, and a view would never be materialized again.
 *
 * Where the URL names several servers, one that accepts no writes is refused, so that the next one is tried.
 */
export function createPrepareSession(servers: PostgresServers): PrepareSession {
  let isOwn = false
  return async (client) => {
    const { at, url } = servers
    const [row] = (await client.query<{ pid: number; readOnly: boolean; settings: readonly string[] }>(ask)).rows
    if (row === undefined) return
    if (row.readOnly && servers.count > 1) throw readOnlyServer()
    if ('processID' in client && client.processID !== row.pid) {
      if (!isOwn && (await isShared(client, row.pid, url))) throw sharedSessions(servers.name(at))
      isOwn = true
      client.processID = row.pid
    }
    const lost = sessionSettings.filter(([, value], i) => row.settings[i]?.split(', ')[0] !== value)
    if (lost.length > 0) await client.query(lost.map(([name, value]) => `SET ${name} = ${sqlText(value)}`).join('; '))
  }
}

/**
 * Whether another connection gets the session of this one while this one is idle. A pooler gives the session that was
 * used last, so one probe usually shows it.
 */
async function isShared(client: pg.ClientBase, pid: number, url: string): Promise<boolean> {
  const until = performance.now() + probeTimeoutMs
  for (let probe = 0; probe < probes && performance.now() < until; probe++) {
    const other = new pg.Client({ connectionString: url, connectionTimeoutMillis: probeTimeoutMs, query_timeout: probeTimeoutMs })
    other.on('error', () => undefined)
    try {
      await other.connect()
      // it keeps its session until the transaction ends, so this connection would get another
      await other.query('BEGIN')
      if ((await backendPid(other)) === pid || (await backendPid(client)) !== pid) return true
    } catch {
      // a pooler in session mode may have no free session; in transaction mode, others have all, and this one's too
      if ((await backendPid(client)) !== pid) return true
    } finally {
      other.connection.stream.destroy()
    }
  }
  return false
}

async function backendPid(client: pg.ClientBase): Promise<number | undefined> {
  return (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid
}

function sharedSessions(server: string): LockstepError {
  return new LockstepError(
    'POSTGRES_UNAVAILABLE',
    `PostgreSQL at "${server}" cannot be used: a pooler gives each transaction another session there. Set the pooler to session mode (PgBouncer: pool_mode = session), or set LOCKSTEP_POSTGRES_URL to PostgreSQL itself.`,
    { details: { server } },
  )
}
