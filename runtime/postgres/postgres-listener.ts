import type pg from 'pg'
import { backoffMs } from '../async.ts'
import type { Database } from './database.ts'
import { stableInt32 } from '../stable-id.ts'

/** The wait before the next attempt after a lost connection or a failed attempt. */
const reconnectBackoff = { firstMs: 100, maxMs: 5_000 }

/** The group of the advisory locks that listeners hold, by channel. */
const listenerLocks = 0x6c73_4c4e

/**
 * Listens to a channel on its own connection until it is stopped. A lost connection is reopened.
 *
 * @param onNotice called with the payload of each notification, and with null each time listening starts, because
 *   earlier notifications were missed
 * @returns what stops it, at once
 */
export function listenOnPostgres(
  connect: () => Promise<pg.PoolClient>,
  channel: string,
  onNotice: (said: string | null) => void,
): () => Promise<void> {
  let stopped = false
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let held: pg.PoolClient | null = null

  async function listen(): Promise<void> {
    let client: pg.PoolClient
    try {
      client = await connect()
    } catch {
      later()
      return
    }
    held = client
    client.on('notification', ({ payload = '' }) => {
      if (!stopped) onNotice(payload)
    })
    client.once('end', () => letGo(client))
    try {
      // others count the locks
      if (!stopped) await client.query('SELECT pg_advisory_lock_shared($1, $2)', [listenerLocks, stableInt32(channel)])
      if (!stopped) await client.query(`LISTEN "${channel}"`)
      failures = 0
      if (!stopped) onNotice(null)
    } catch {
      letGo(client)
    }
    if (stopped) letGo(client)
  }

  /** The connection is closed, because it would keep listening for its next user. */
  function letGo(client: pg.PoolClient): void {
    if (held !== client) return
    held = null
    client.release(true)
    later()
  }

  function later(): void {
    if (stopped) return
    timer = setTimeout(() => void listen(), backoffMs(++failures, reconnectBackoff))
    timer.unref()
  }

  void listen()
  return async () => {
    stopped = true
    clearTimeout(timer)
    if (held !== null) letGo(held)
  }
}

/** How many listeners a channel has in all processes. */
export async function countPostgresListeners(query: Database['query'], channel: string): Promise<number> {
  // oid has no sign
  const rows = await query<{ holders: number }>(
    `SELECT count(DISTINCT pid)::int4 AS holders FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1::oid AND objid = $2::oid AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [listenerLocks, stableInt32(channel) >>> 0],
  )
  return rows[0]?.holders ?? 0
}
