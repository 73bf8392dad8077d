import { setTimeout } from 'node:timers/promises'
import type { Database } from './database.ts'

const pollMs = 25

/**
 * Waits until every transaction that was writing at the start has ended, in any database of the server; at most
 * `waitMs`. In a snapshot taken then, all transactions committed before the start are below `xmin`.
 */
export async function waitForWriters(db: Database, waitMs: number, signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + waitMs
  const bounds = async (): Promise<{ xmin: number; xmax: number }> => {
    const [row] = await db.query<{ xmin: string; xmax: string }>(
      'SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin, pg_snapshot_xmax(pg_current_snapshot())::text AS xmax',
    )
    return { xmin: Number(row?.xmin), xmax: Number(row?.xmax) }
  }
  const start = await bounds()
  for (let { xmin } = start; xmin < start.xmax && performance.now() < deadline; { xmin } = await bounds()) {
    await setTimeout(pollMs)
    signal?.throwIfAborted()
  }
}
