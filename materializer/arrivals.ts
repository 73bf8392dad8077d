import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { LockstepError } from '../kernel/errors.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { covers, noTransactions } from '../kernel/states/frontier.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { foreignRows } from '../offline/rows/foreign-rows.ts'
import type { SourceRow } from '../offline/rows/row-decoder.ts'
import { sourceRows } from '../offline/rows/source-stream.ts'
import { readSourceTable } from '../offline/rows/source-table.ts'
import type { StreamBounds } from '../offline/rows/stream-sql.ts'
import type { Snapshot } from '../runtime/postgres/database.ts'

export interface ArrivalsOptions {
  readonly snapshot: Snapshot
  readonly plan: ViewPlan
  /** The transactions whose rows are read; null: the table has no arrival columns. */
  readonly seen: Frontier | null
  /** No row of this database's own has an arrival from here on. */
  readonly xmax: number
  readonly signal?: AbortSignal | undefined
  /** Called with the rows that are skipped because their key cannot be read. */
  readonly onUnkeyed?: (error: LockstepError) => void
  /** Called after each batch with the number of rows read so far. */
  readonly onRead?: (rows: number) => void
  /** Where no keys are asked for, these alone. */
  readonly only?: Pick<StreamBounds, 'keyRange' | 'keysIn'>
}

/**
 * The rows of the transactions of `seen` that are not in `known`, of all entities or of these, ordered as `sourceRows`
 * orders them.
 */
export type Arrivals = (known: Frontier, keys?: readonly EntityKey[]) => AsyncGenerator<readonly SourceRow[]>

/**
 * The rows that a run folds.
 *
 * @throws LockstepError `INVALID_ROW` for rows that this database cannot have written; what `sourceRows` throws
 */
export function createArrivals({
  snapshot,
  plan,
  seen,
  xmax,
  signal,
  onUnkeyed = () => undefined,
  onRead,
  only,
}: ArrivalsOptions): Arrivals {
  let read = 0

  async function ownRows(batch: readonly SourceRow[], { below }: Frontier): Promise<readonly SourceRow[]> {
    if (batch.every(({ xid }) => xid < below)) return batch
    const foreign = batch.find(({ xid }) => xid >= xmax)
    if (foreign !== undefined) throw await foreignRows(snapshot, (await readSourceTable(snapshot, plan.spec.source)).relation, foreign.xid)
    return batch.filter(({ xid }) => covers(seen ?? noTransactions, xid))
  }

  return async function* (known, keys) {
    // There is no upper bound, so that rows of another database are met.
    const arrival = { from: Math.max(0, known.below), to: Number.MAX_SAFE_INTEGER, except: known.beyond }
    const bounds = { onlineOnly: true, tolerant: onUnkeyed, ...(seen === null ? {} : { arrival, withXid: true }) }
    for await (const batch of sourceRows(snapshot, [plan], { ...bounds, ...(keys === undefined ? only : { keys }) })) {
      signal?.throwIfAborted()
      yield seen === null ? batch : await ownRows(batch, seen)
      read += batch.length
      onRead?.(read)
    }
  }
}
