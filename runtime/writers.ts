import { setTimeout } from 'node:timers/promises'
import type { Database, Snapshot } from './database.ts'

const pollMs = 25

/**
 * Waits until every transaction that was writing at the start, in any database of the server, has ended, `waitMs` at most. A snapshot taken then has all that was
 * committed before the start below its `xmin`.
 */
export async function awaitWriters(db: Database, waitMs: number, signal?: AbortSignal): Promise<void> {
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

export interface SnapshotBounds {
  /** Every transaction below it has ended. */
  readonly xmin: number
  /** No row that the snapshot shows was written by a transaction from here on. */
  readonly xmax: number
  /** The transactions in between that have not ended, ascending: none of their rows is shown. */
  readonly running: readonly number[]
  /** How many transactions have ended: of two snapshots, the one that shows more has more. Between `xmin` and `xmax`. */
  readonly ended: number
}

export async function snapshotBounds(snapshot: Pick<Snapshot, 'query'>): Promise<SnapshotBounds> {
  const [row] = await snapshot.query<{ bounds: string }>('SELECT pg_current_snapshot()::text AS bounds')
  const [xmin, xmax, listed = ''] = (row?.bounds ?? '').split(':')
  const running = listed === '' ? [] : listed.split(',').map(Number)
  return { xmin: Number(xmin), xmax: Number(xmax), running, ended: Number(xmax) - running.length }
}
