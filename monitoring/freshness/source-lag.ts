import { allBelow, without } from '../../kernel/states/frontier.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { findMissingRows } from '../../materializer/missing-rows.ts'
import { readArrived } from '../../offline/rows/read-arrived.ts'
import type { SourceRow } from '../../offline/rows/row-decoder.ts'
import { currentXmax } from '../../online/checkpoint-owner.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import type { ArrivedRows, StoredView, WaitingRows } from './arrived-rows.ts'
import { maxCountedRows, readTogether } from './arrived-rows.ts'
import type { SearchableTables } from './searchable-tables.ts'
import { forgetTable, searchableTable } from './searchable-tables.ts'

/** The rows of a source that a store may lack. */
export interface SourceLag extends WaitingRows {
  /**
   * The greatest event time until now among the rows that arrived last; epoch microseconds, null where there are none,
   * or too many that arrived at once. An event that is dated later has not happened.
   */
  readonly newestEvent: number | null
}

export interface SourceLagDeps {
  readonly db: Database
  readonly store: Pick<OnlineStore, 'read'> | null
  /** Epoch microseconds. */
  readonly now: number
}

/** Facts of a source that are read once for many views. */
export interface KnownOfSource {
  /** From `searchableTables`. A table that is not in it is looked at first. */
  readonly tables?: SearchableTables | undefined
  /** From `readArrivedRows`. */
  readonly found?: ArrivedRows | undefined
}

/**
 * The rows of a view's source that are in no state. It uses an index on `_xid`, so that no large table is read
 * completely. Rows beyond the frontier are looked up in the states, because a push may have folded them. Where there
 * are 10,000 or more, or one cannot be read, all of them are counted.
 *
 * @param view its frontier: what all states hold; null: the store is unknown, and only the newest row is searched
 * @returns null where it is unknown: the source has no `_xid`, or many rows without an index on it
 */
export async function sourceLag(deps: SourceLagDeps, view: StoredView, { tables, found }: KnownOfSource = {}): Promise<SourceLag | null> {
  if (found !== undefined) return await lagOfFound(deps, view, found)
  const { db } = deps
  const { plan } = view
  const known = tables?.get(plan)
  const read = async (relation: string | null) => (relation === null ? null : await readLag(deps, view, relation))
  try {
    return await read(known === undefined ? await searchableTable(db, plan) : known)
  } catch (error) {
    // the table may have lost a column since it was checked
    if (!sqlState(error).startsWith('42') || !forgetTable(db, plan)) throw error
    return await read(await searchableTable(db, plan))
  }
}

async function readLag(deps: SourceLagDeps, { plan, frontier }: StoredView, relation: string): Promise<SourceLag> {
  const { db, store, now } = deps
  const view = { plan, frontier: store === null ? null : frontier }
  const found = (await readTogether(db, [{ ...view, relation }], now)).get(plan)
  if (found === undefined) throw new LockstepError('INTERNAL', `The rows of the source of "${plan.id}" were not read.`)
  return await lagOfFound(deps, view, found)
}

async function lagOfFound(
  { db, store }: SourceLagDeps,
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

function lagOf(rows: readonly SourceRow[]): WaitingRows {
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
