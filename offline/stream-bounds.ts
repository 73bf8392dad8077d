import { LockstepError } from '../kernel/errors.ts'
import { maxMicros } from '../kernel/value-type.ts'
import type { TimeRule, ViewPlan } from '../kernel/view-plan.ts'
import type { Database, Snapshot } from '../runtime/database.ts'
import { awaitWriters } from '../runtime/writers.ts'
import { explain } from './explain.ts'
import type { SourceStreamOptions } from './source-stream.ts'
import { readSourceTable } from './source-table.ts'
import type { Spine } from './spine/spine.ts'

const awaitWritersMs = 2_000

/** A spine is worth looking its keys up for each source row where the source has this many times its rows. */
const pruneKeysFrom = 4

/** Which rows of the sources a join may see at all. */
export interface Seen {
  readonly rule: TimeRule
  /** Epoch microseconds: no row that was known, else happened, at it or after it; null: no such bound. */
  readonly knownBefore: number | null
  /** Of a table that tells arrivals, only rows of transactions below it. */
  readonly arrivedBefore: number
}

/** What of the plans' source a spine can need at all, which saves reading the rest, and which of it is settled, so that it can be read again. */
export async function sourceBounds(
  snapshot: Snapshot,
  plans: readonly ViewPlan[],
  spine: Spine,
  keysIn: string,
  { rule, knownBefore, arrivedBefore }: Seen,
): Promise<SourceStreamOptions> {
  const [plan] = plans
  if (plan === undefined || spine.firstTime === null || spine.lastTime === null) return { rule, keys: [] }
  const { relation, hasXid } = await readSourceTable(snapshot, plan.spec.source)
  const { rows } = await explain(snapshot, `SELECT FROM ${relation} s`)
  const pruned = rows >= spine.rows * pruneKeysFrom ? { keysIn } : {}
  const arrival = hasXid ? { arrival: { from: 0, to: arrivedBefore } } : {}
  const known = knownBefore === null ? {} : { knownBefore }
  return { rule, until: spine.lastTime, ...known, ...arrival, ...eventBound(plans, spine.firstTime), ...pruned }
}

/**
 * The transaction below which the rows of a snapshot are all settled, or an earlier one that was asked for.
 *
 * @throws LockstepError `NOT_REPRODUCIBLE` where this database has not come so far
 */
export function settledBefore(snapshot: Snapshot, arrivedBefore: number | null): number {
  if (arrivedBefore === null) return snapshot.xmin
  if (arrivedBefore <= snapshot.xmin) return arrivedBefore
  throw new LockstepError(
    'NOT_REPRODUCIBLE',
    `The rows of all transactions below "${arrivedBefore}" are asked for, and in this database those below "${snapshot.xmin}" are settled: another transaction is still writing, or this is another database. Try again later, or with the database of then.`,
    { details: { arrivedBefore, xmin: snapshot.xmin } },
  )
}

/** The transaction below which all rows are settled now. Those that are writing are waited for, 2 s at most. */
export async function settledNow(db: Database, signal: AbortSignal | undefined): Promise<number> {
  await awaitWriters(db, awaitWritersMs, signal)
  return await db.snapshot((snapshot) => Promise.resolve(snapshot.xmin))
}

/** The earliest event that matters to any of the plans from `firstTime` on, where there is such a bound. */
export function eventBound(plans: readonly ViewPlan[], firstTime: number): { readonly eventFrom?: number } {
  const eventFrom = firstTime - Math.max(...plans.map((plan) => plan.horizonMicros))
  return eventFrom >= -maxMicros ? { eventFrom } : {}
}
