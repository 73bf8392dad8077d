import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { PostgresServers } from './postgres-servers.ts'
import { sqlSignal } from './sql.ts'

const cancelTimeoutMs = 700
const stopStepMs = 250
const lastMs = 750
const stopMs = 1_000

/** One connection of this process. */
export interface PostgresSession {
  readonly client: object
  /** The URL of its server. */
  readonly url: string
  /** The process id on the server; null while it is not connected. */
  pid(): number | null
  /** Closes the connection at once, even if a caller waits for an answer on it. */
  cut(): void
}

/** All sessions of a `Database` on the server. */
export interface PostgresSessions {
  readonly open: Set<PostgresSession>
  /**
   * Cancels, on the server, the statements that have been running for `afterMs`. If the server does not answer, it
   * gives up.
   */
  cancel(afterMs: number): Promise<void>
  /** Closes all connections at once. With `answered`: only those to other servers than that of this client. */
  cut(answered?: object): void
}

/**
 * A statement that waits, for example for a lock, continues without its connection. So the server must be asked on
 * another connection to cancel it.
 */
export function createPostgresSessions(servers: PostgresServers): PostgresSessions {
  const open = new Set<PostgresSession>()
  return {
    open,
    async cancel(afterMs) {
      const { url: connectionString } = servers
      // on another server the same number is the process of somebody else
      const pids = [...open].map(({ url, pid }) => (url === connectionString ? pid() : null)).filter((pid) => pid !== null)
      if (pids.length === 0) return
      const client = new pg.Client({ connectionString, connectionTimeoutMillis: cancelTimeoutMs, query_timeout: cancelTimeoutMs })
      client.on('error', () => undefined)
      try {
        await client.connect()
        await client.query(
          sqlSignal(
            `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
            WHERE pid IN (${pids.join(', ')}) AND state = 'active' AND query_start <= clock_timestamp() - ${afterMs} * interval '1 ms'`,
          ),
        )
      } catch {
        // stopping does not wait for the cancellation
      } finally {
        client.connection.stream.destroy()
      }
    },
    cut(answered) {
      const url = [...open].find(({ client }) => client === answered)?.url
      for (const session of open) if (session.url !== url) session.cut()
    },
  }
}

/**
 * Cancels the running statements, and later statements that take longer than a moment, so that short cleanup statements
 * can still finish. After a second it closes the remaining connections. The promise resolves once that is done and the
 * server has been asked to cancel.
 *
 *     0 s all statements   0.25 s, 0.5 s those that have run for 0.25 s   0.75 s all statements   1 s all connections
 *
 * @param onLast called before the statements are cancelled for the last time. A statement that starts after that would
 *   continue without its connection
 */
export async function stopSessions(sessions: PostgresSessions, onLast: () => void): Promise<void> {
  let over = false
  const cancelAgain = async (): Promise<void> => {
    for (let afterMs = 0; !over; afterMs = stopStepMs) {
      await sessions.cancel(afterMs)
      await delay(stopStepMs, undefined, { ref: false })
    }
  }
  void cancelAgain()
  await delay(lastMs, undefined, { ref: false })
  over = true
  onLast()
  const cancelled = sessions.cancel(0)
  // keeps the process alive, because a close may wait for it
  await delay(stopMs - lastMs)
  sessions.cut()
  await cancelled
}
