import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

const cancelTimeoutMs = 700
const stopStepMs = 250
const lastMs = 750
const stopMs = 1_000

/** A connection of this process, from its beginning to its end. */
export interface Session {
  /** Of the server's process; null while it is not connected. */
  pid(): number | null
  /** Ends the connection at once, whoever waits for an answer on it. */
  cut(): void
}

/** All sessions of a `Database` on its server. */
export interface PostgresSessions {
  readonly open: Set<Session>
  /**
   * Ends, on the server, the statements that have been running for so long. A server that does not answer is given up
   * on.
   */
  cancel(afterMs: number): Promise<void>
  cut(): void
}

/** A statement that waits, as for a lock, goes on without its connection: the server has to be told, on another one. */
export function createPostgresSessions(connectionString: string): PostgresSessions {
  const open = new Set<Session>()
  return {
    open,
    async cancel(afterMs) {
      const pids = [...open].map((session) => session.pid()).filter((pid) => pid !== null)
      if (pids.length === 0) return
      const client = new pg.Client({ connectionString, connectionTimeoutMillis: cancelTimeoutMs, query_timeout: cancelTimeoutMs })
      client.on('error', () => undefined)
      try {
        await client.connect()
        await client.query(
          `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
          WHERE pid = ANY ($1) AND state = 'active' AND query_start <= clock_timestamp() - $2 * interval '1 ms'`,
          [pids, afterMs],
        )
      } catch {
        // who stops does not wait for it
      } finally {
        client.connection.stream.destroy()
      }
    },
    cut() {
      for (const session of open) session.cut()
    },
  }
}

/**
 * Ends the statements that run, and whatever else takes longer than a moment, so that what only cleans up still gets
 * through. What is left after a second is cut; the promise resolves once that is done and the server has been told.
 *
 *     0 s all statements   0.25 s, 0.5 s those that have run for 0.25 s   0.75 s all statements   1 s all connections
 *
 * @param onLast called before the statements are ended for the last time: one that began after that would go on without
 *   its connection
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
  // a close may wait for it
  await delay(stopMs - lastMs)
  sessions.cut()
  await cancelled
}
