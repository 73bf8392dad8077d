import { LockstepError } from '../../kernel/errors.ts'
import { maxMicros } from '../../kernel/values/value-type.ts'
import type { TimeRule, ViewPlan } from '../../kernel/view-plan.ts'
import type { Database, Snapshot } from '../../runtime/postgres/database.ts'
import { waitForWriters } from '../../runtime/postgres/wait-for-writers.ts'
import { explain } from '../explain.ts'
import type { Lookup } from '../lookup.ts'
import type { NeededRows } from '../index-lookup.ts'
import { neededRows } from '../index-lookup.ts'
import type { SourceStreamOptions } from './source-stream.ts'
import { prepareStream } from './source-stream.ts'
import type { SourceTable } from './source-table.ts'
import { readSourceTable } from './source-table.ts'
import type { Spine } from '../spine/spine.ts'
import { nearApplies } from './stream-sql.ts'

/** How long transactions that are writing are waited for. */
export const awaitWritersMs = 2_000

/** The spine's keys are used as a filter where the source has at least this many times the rows of the spine. */
const pruneKeysFrom = 4

/**
 * Reading rows by intervals costs several times as much per row as reading all of them, and lookups favor keys with
 * many rows.
 */
const maxCoverage = 1 / 8

/** Which source rows a join may read at all. */
export interface Seen {
  readonly rule: TimeRule
  /**
   * Epoch microseconds: no row that was known (or, without a known time, happened) at it or later; null: no such bound.
   */
  readonly knownBefore: number | null
  /** From a table with arrival columns, only rows of transactions below it. */
  readonly arrivedBefore: number
}

/**
 * Which rows of the plans' source a spine can need, so that the rest is not read, and which of these are settled, so
 * that they can be read again.
 *
 * @param asked all lookups of the plans, ordered, where they are few
 */
export async function sourceBounds(
  snapshot: Snapshot,
  plans: readonly ViewPlan[],
  spine: Spine,
  keysIn: string,
  { rule, knownBefore, arrivedBefore }: Seen,
  asked: AskedLookups | null,
): Promise<SourceStreamOptions> {
  const [plan] = plans
  if (plan === undefined || spine.firstTime === null || spine.lastTime === null) return { rule, keys: [] }
  const table = await readSourceTable(snapshot, plan.spec.source)
  const { rows } = await explain(snapshot, `SELECT FROM ${table.relation} s`)
  const pruned = rows >= spine.rows * pruneKeysFrom ? { keysIn } : {}
  const arrival = table.hasXid ? { arrival: { from: 0, to: arrivedBefore } } : {}
  const known = knownBefore === null ? {} : { knownBefore }
  const settled = { rule, ...known, ...arrival }
  const all = { ...settled, until: spine.lastTime, ...eventBound(plans, spine.firstTime), ...pruned }
  return asked === null ? all : await fewer(snapshot, plans, asked, all, settled)
}

/** `few` with only the rows near the lookups, where that is cheaper; else `all`. */
export async function fewer(
  snapshot: Snapshot,
  plans: readonly ViewPlan[],
  asked: AskedLookups,
  all: SourceStreamOptions,
  few: SourceStreamOptions,
): Promise<SourceStreamOptions> {
  const near = neededRows(plans, asked.lookups, all.rule, asked.bound)
  const [plan] = plans
  if (near === null || plan === undefined) return all
  const table = await readSourceTable(snapshot, plan.spec.source)
  return (await pays(snapshot, table, plans, { ...few, near }, near)) ? { ...few, near } : all
}

/** All lookups of some views, ordered by key and time. */
export interface AskedLookups {
  readonly lookups: readonly Lookup[]
  readonly bound: 'at' | 'before'
}

/**
 * Whether it is cheaper to read only the rows near some lookups. An index must find them by key and time, and they must
 * be a small part of what is read otherwise. Their number is estimated from the part of the keys' time that they cover,
 * because the planner cannot know it for a list of intervals.
 */
async function pays(
  snapshot: Snapshot,
  table: SourceTable,
  plans: readonly ViewPlan[],
  few: SourceStreamOptions,
  near: NeededRows,
): Promise<boolean> {
  if (!nearApplies(table, near) || near.intervals.length + near.greatest.length === 0) return false
  if (coverage(near, plans) > maxCoverage) return false
  const { lookups } = await explain(snapshot, prepareStream(table, plans, few).sql)
  const moment = (plans[0]?.key.length ?? 0) + 1
  const led = lookups.map((condition) =>
    [...condition.matchAll(/"\*VALUES\*(?:_\d+)?"\.column(\d+)/g)].some(([, column]) => Number(column) >= moment),
  )
  return led.length > 0 && led.every(Boolean)
}

/**
 * The part of the time, read otherwise, that the intervals cover: for their keys from the first interval to the last,
 * or for latest values since ever.
 */
function coverage({ intervals }: NeededRows, plans: readonly ViewPlan[]): number {
  if (intervals.some(({ from }) => from === Number.NEGATIVE_INFINITY)) return 1
  const keys = new Set(intervals.map(({ key }) => key)).size
  if (keys === intervals.length && plans.some(({ horizonMicros }) => horizonMicros === Number.POSITIVE_INFINITY)) return 0
  const first = intervals.reduce((least, { from }) => Math.min(least, from), Number.POSITIVE_INFINITY)
  const last = intervals.reduce((most, { to }) => Math.max(most, to), Number.NEGATIVE_INFINITY)
  return intervals.length === 0 ? 0 : intervals.reduce((sum, { from, to }) => sum + (to - from), 0) / ((last - first) * keys)
}

/**
 * The transaction below which all rows of a snapshot are settled, or an earlier one that was requested.
 *
 * @throws LockstepError `NOT_REPRODUCIBLE` where this database has not reached it
 */
export function settledBefore(snapshot: Snapshot, arrivedBefore: number | null): number {
  if (arrivedBefore === null) return snapshot.xmin
  if (arrivedBefore <= snapshot.xmin) return arrivedBefore
  throw new LockstepError(
    'NOT_REPRODUCIBLE',
    `The rows of all transactions below "${arrivedBefore}" are needed, but in this database only those below "${snapshot.xmin}" are final: another transaction is still writing, or this is another database. Try again later, or use the original database.`,
    { details: { arrivedBefore, xmin: snapshot.xmin } },
  )
}

/** The transaction below which all rows are settled now. Waits up to 2 s for transactions that are writing. */
export async function settledNow(db: Database, signal: AbortSignal | undefined): Promise<number> {
  await waitForWriters(db, awaitWritersMs, signal)
  return await db.snapshot((snapshot) => Promise.resolve(snapshot.xmin))
}

/** The earliest event that matters to any of the plans from `firstTime` on, where there is such a bound. */
export function eventBound(plans: readonly ViewPlan[], firstTime: number): { readonly eventFrom?: number } {
  const eventFrom = firstTime - Math.max(...plans.map((plan) => plan.horizonMicros))
  return eventFrom >= -maxMicros ? { eventFrom } : {}
}
