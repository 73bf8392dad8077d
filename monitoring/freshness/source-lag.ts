import type { Frontier } from '../../kernel/frontier.ts'
import { allBelow, without } from '../../kernel/frontier.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { findMissingRows } from '../../materializer/missing-rows.ts'
import { readArrived } from '../../offline/read-arrived.ts'
import type { SourceRow } from '../../offline/row-decoder.ts'
import { currentXmax } from '../../online/checkpoint-owner.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/database.ts'
import { sqlState } from '../../runtime/relation.ts'
import type { ArrivedRows, StoredView } from './arrived-rows.ts'
import { maxCountedRows, readTogether } from './arrived-rows.ts'
import type { SearchableTables } from './searchable-tables.ts'
import { forgetTable, searchableTable } from './searchable-tables.ts'

/** The rows of a source that a store may lack. */
export interface SourceLag {
  /** Committed rows that are in no state. 10,000 means: that many or more. */
  readonly rows: number
  /** How many transactions wrote them. */
  readonly transactions: number
  /**
   * When the first of them became visible (the later of its two times), epoch microseconds; null where there are none.
   */
  readonly visibleSince: number | null
  /**
   * The greatest event time until now among the rows that arrived last; epoch microseconds, null where there are none,
   * or too many that arrived at once. An event that is dated later has not happened.
   */
  readonly newestEvent: number | null
}

/**
 * The rows of a view's source that are in no state. It uses an index on `_xid`, so that no large table is read
 * completely. Rows beyond the frontier are looked up in the states, because a push may have folded them. Where there
 * are 10,000 or more, or one cannot be read, all of them are counted.
 *
 * @param frontier what all states hold; null: the store is unknown, and only the newest row is searched
 * @param now epoch microseconds
 * @param tables from `searchableTables`. A table that is not in it is looked at first
 * @param found from `readArrivedRows`
 * @returns null where it is unknown: the source has no `_xid`, or many rows without an index on it
 */
export async function sourceLag(
  db: Database,
  store: Pick<OnlineStore, 'read'> | null,
  plan: ViewPlan,
  frontier: Frontier | null,
  now: number,
  tables: SearchableTables = new Map(),
  found?: ArrivedRows,
): Promise<SourceLag | null> {
  if (found !== undefined) return await lagOfFound(db, store, { plan, frontier }, found)
  const known = tables.get(plan)
  const read = async (relation: string | null) => (relation === null ? null : await readLag(db, store, plan, relation, frontier, now))
  try {
    return await read(known === undefined ? await searchableTable(db, plan) : known)
  } catch (error) {
    // the table may have lost a column since it was checked
    if (!sqlState(error).startsWith('42') || !forgetTable(db, plan)) throw error
    return await read(await searchableTable(db, plan))
  }
}

async function readLag(
  db: Database,
  store: Pick<OnlineStore, 'read'> | null,
  plan: ViewPlan,
  relation: string,
  frontier: Frontier | null,
  now: number,
): Promise<SourceLag> {
  const view = { plan, frontier: store === null ? null : frontier }
  const found = (await readTogether(db, [{ ...view, relation }], now)).get(plan)
  if (found === undefined) throw new LockstepError('INTERNAL', `The rows of the source of "${plan.id}" were not read.`)
  return await lagOfFound(db, store, view, found)
}

async function lagOfFound(
  db: Database,
  store: Pick<OnlineStore, 'read'> | null,
  { plan, frontier }: StoredView,
  { newestEvent, waiting }: ArrivedRows,
): Promise<SourceLag> {
  if (store !== null && frontier !== null && waiting.rows > 0 && waiting.rows < maxCountedRows) {
    const arrived = without(allBelow(await currentXmax(db)), frontier)
    const rows = await readArrived(db, [plan], arrived, maxCountedRows).catch(noneWhereUnreadable)
    if (rows !== null) return { ...lagOf(await findMissingRows(store, plan, rows)), newestEvent }
  }
  return { ...waiting, newestEvent }
}

/**
 * A value that the database cannot read as it is declared fails the query of all rows; the view's next run says which
 * it is.
 */
function noneWhereUnreadable(error: unknown): null {
  if (sqlState(error).startsWith('22')) return null
  throw error
}

function lagOf(rows: readonly SourceRow[]): Omit<SourceLag, 'newestEvent'> {
  const visible = rows
    .filter(({ failure }) => failure === undefined)
    .map(({ eventTime, knownTime }) => Math.max(eventTime, knownTime ?? eventTime))
    .filter(Number.isFinite)
  return {
    rows: rows.length,
    transactions: new Set(rows.map(({ xid }) => xid)).size,
    visibleSince: visible.length === 0 ? null : visible.reduce((least, time) => Math.min(least, time)),
  }
}
