import { setTimeout } from 'node:timers/promises'
import type { Database } from './database.ts'

const pollMs = 25

/**
 * Waits until every transaction of a Lockstep in this database that is open now has ended, `waitMs` at most: from then on nobody works on rows as they were before. On
 * the embedded database there is nobody else.
 *
 * @returns false where one is open still
 */
export async function waitForEarlierTransactions(db: Database, waitMs: number, signal?: AbortSignal): Promise<boolean> {
  if (db.kind === 'pglite') return true
  const deadline = performance.now() + waitMs
  let open = await openTransactions(db)
  while (open.size > 0) {
    if (performance.now() >= deadline) return false
    await setTimeout(pollMs)
    signal?.throwIfAborted()
    const now = await openTransactions(db)
    open = new Set([...open].filter((transaction) => now.has(transaction)))
  }
  return true
}

/** Those of other roles do not tell which program they are of, and count. */
async function openTransactions(db: Database): Promise<Set<string>> {
  const rows = await db.query<{ transaction: string }>(
    `SELECT l.virtualtransaction AS transaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND (coalesce(a.application_name, '') = '' OR starts_with(a.application_name, 'lockstep'))`,
  )
  return new Set(rows.map(({ transaction }) => transaction))
}
