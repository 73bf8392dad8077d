import type { EntityKey } from '../kernel/entity-key.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { SourceRow } from '../offline/row-decoder.ts'
import { sourceRows } from '../offline/source-stream.ts'
import type { Snapshot } from '../runtime/database.ts'

export interface ArrivalsOptions {
  readonly snapshot: Snapshot
  readonly plan: ViewPlan
  /** Rows with an arrival from here on are held back; null where the table tells no arrivals. */
  readonly to: number | null
  /** No row of this database's own has an arrival from here on. */
  readonly xmax: number
  readonly signal: AbortSignal | undefined
}

export interface Arrivals {
  /** The rows with an arrival in [from, to), of all entities or of these, ordered as `sourceRows` orders them. */
  since(from: number, keys?: readonly EntityKey[]): AsyncGenerator<readonly SourceRow[]>
  /** How many rows of streams over all entities were held back. */
  heldBack(): number
}

/** The rows that a run folds. @throws LockstepError `INVALID_ROW` for rows that this database cannot have written; what `sourceRows` throws */
export function createArrivals(options: ArrivalsOptions, onRead: (rows: number) => void): Arrivals {
  const { snapshot, plan, to, xmax, signal } = options
  let read = 0
  let held = 0

  /** The rows below `to`. A stream over all entities has no upper bound, so that what is beyond is seen without reading the table once more. */
  function ownRows(batch: readonly SourceRow[], limit: number): readonly SourceRow[] {
    if (batch.every(({ xid }) => xid < limit)) return batch
    return batch.filter(({ xid }) => {
      if (xid >= xmax) throw foreign(plan, xid, xmax)
      if (xid < limit) return true
      held++
      return false
    })
  }

  return {
    async *since(from, keys) {
      const arrival = to === null ? {} : { arrival: { from, to: keys === undefined ? Number.MAX_SAFE_INTEGER : to }, withXid: true }
      for await (const batch of sourceRows(snapshot, [plan], { ...arrival, onlineOnly: true, ...(keys === undefined ? {} : { keys }) })) {
        signal?.throwIfAborted()
        yield to === null ? batch : ownRows(batch, to)
        read += batch.length
        onRead(read)
      }
    },
    heldBack: () => held,
  }
}

function foreign(plan: ViewPlan, xid: number, xmax: number): LockstepError {
  const { name, relation } = plan.spec.source
  const table = relation.kind === 'table' ? relation.table : name
  return new LockstepError(
    'INVALID_ROW',
    `The table "${table}" of source "${name}" holds rows of transaction ${xid} in "_xid", and this database has only come to ${xmax}: it was restored from another one's dump. Let the rows arrive here once (update ${table} set _xid = pg_current_xact_id()), then rebuild the view "${plan.id}".`,
  )
}
