import { setTimeout } from 'node:timers/promises'
import type { Database } from './database.ts'

const pollMs = 25

/**
 * Waits until every Lockstep transaction that is open in this database now has ended, at most `waitMs`. After that no
 * process works on earlier rows. The embedded database has no other processes.
 *
 * @returns false if a transaction is still open
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

/** Transactions of other roles hide their application name, so they count too. */
async function openTransactions(db: Database): Promise<Set<string>> {
  const rows = await db.query<{ transaction: string }>(
    `SELECT l.virtualtransaction AS transaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND (coalesce(a.application_name, '') = '' OR starts_with(a.application_name, 'lockstep'))`,
  )
  return new Set(rows.map(({ transaction }) => transaction))
}
