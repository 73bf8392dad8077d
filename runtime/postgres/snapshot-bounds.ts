export interface SnapshotBounds {
  /** Every transaction below it has ended. */
  readonly xmin: number
  /** No row that the snapshot shows was written by a transaction from here on. */
  readonly xmax: number
  /** The transactions in between that have not ended, ascending: none of their rows is shown. */
  readonly running: readonly number[]
  /**
   * How many transactions have ended: of two snapshots, the one that shows more has more. Between `xmin` and `xmax`.
   */
  readonly ended: number
}

/** Of what PostgreSQL says of a snapshot: `xmin:xmax:running,running`. */
export function parseSnapshot(text: string): SnapshotBounds {
  const [xmin, xmax, listed = ''] = text.split(':')
  const running = listed === '' ? [] : listed.split(',').map(Number)
  return { xmin: Number(xmin), xmax: Number(xmax), running, ended: Number(xmax) - running.length }
}

/** The settings of `StreamOptions.stable` in the transaction of a stream. */
export const stableScans = 'SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL synchronize_seqscans = off'

/**
 * What `StreamOptions.largeJoin` sets. A table that PostgreSQL has not analyzed yet counts as a row, so that a nested
 * loop seems cheap.
 */
export const largeJoins = 'SET LOCAL enable_nestloop = off'
