import type { Frontier } from '../../kernel/frontier.ts'
import { allBelow, without } from '../../kernel/frontier.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { findMissingRows } from '../../materializer/missing-rows.ts'
import { readArrived } from '../../offline/read-arrived.ts'
import type { SourceRow } from '../../offline/row-decoder.ts'
import { missingColumns, readSourceTable } from '../../offline/source-table.ts'
import { currentXmax } from '../../online/checkpoint-owner.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/database.ts'
import { arrivalColumns, columnsOfTables, sourceTableName, sqlState } from '../../runtime/relation.ts'
import { sqlIdentifier, sqlText } from '../../runtime/sql.ts'

/** Waiting rows are counted up to this number. */
export const maxCountedRows = 10_000
/** The newest event is searched among this number of newest rows, or among all rows of the last transaction. */
const newestRows = 1000
/** In a larger table, not all rows of the last transaction are read. */
const maxBytes = 1024 * 1024 * 1024
/** A table up to this size is read without an index. */
const smallBytes = 32 * 1024 * 1024

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
 * @returns null where it is unknown: the source has no `_xid`, or many rows without an index on it
 */
export async function sourceLag(
  db: Database,
  store: Pick<OnlineStore, 'read'> | null,
  plan: ViewPlan,
  frontier: Frontier | null,
  now: number,
  tables: SearchableTables = new Map(),
): Promise<SourceLag | null> {
  const known = tables.get(plan)
  const read = async (relation: string | null) => (relation === null ? null : await readLag(db, store, plan, relation, frontier, now))
  try {
    return await read(known === undefined ? await searchableTable(db, plan) : known)
  } catch (error) {
    // the table may have lost a column since it was checked
    if (!sqlState(error).startsWith('42') || !searchable(db).delete(plan)) throw error
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
  const { source } = plan.spec
  const event = `${sqlIdentifier(source.eventTime)}::timestamptz`
  const visible = source.known === null ? event : `greatest(${event}, ${sqlIdentifier(source.known)}::timestamptz)`
  if (store === null || frontier === null) {
    const [last] = await db.query<LastRows>(lastRowsSql(relation, event), [now])
    return { rows: 0, transactions: 0, visibleSince: null, newestEvent: await newestOf(db, relation, event, now, last) }
  }
  const { below, beyond: ranges } = frontier
  // the frontier is no part of the text, so that the statement stays the same
  const [found] = await db.query<LastRows & WaitingRows>(
    `
    SELECT * FROM (${lastRowsSql(relation, event)}) last, (
      SELECT count(*)::text AS waiting, count(DISTINCT x)::text AS transactions, ${micros('min(v) FILTER (WHERE isfinite(v))')} AS since
      FROM (SELECT _xid AS x, ${visible} AS v FROM ${relation}
            WHERE _xid >= $2::text::xid8 AND NOT EXISTS (
              SELECT FROM unnest($3::text[]::xid8[], $4::text[]::xid8[]) AS folded (first, upto) WHERE _xid >= first AND _xid < upto)
            ORDER BY _xid LIMIT ${maxCountedRows}) beyond) waiting`,
    [now, String(Math.max(0, below)), ranges.map(({ from }) => String(from)), ranges.map(({ to }) => String(to))],
  )
  const newestEvent = await newestOf(db, relation, event, now, found)
  const beyond = Number(found?.waiting)
  if (beyond > 0 && beyond < maxCountedRows) {
    const arrived = without(allBelow(await currentXmax(db)), frontier)
    const rows = await readArrived(db, [plan], arrived, maxCountedRows).catch(noneWhereUnreadable)
    if (rows !== null) return { ...lagOf(await findMissingRows(store, plan, rows)), newestEvent }
  }
  return {
    rows: beyond,
    transactions: Number(found?.transactions),
    visibleSince: numberOf(found?.since),
    newestEvent,
  }
}

/**
 * A value that the database cannot read as it is declared fails the query of all rows; the view's next run says which
 * it is.
 */
function noneWhereUnreadable(error: unknown): null {
  if (sqlState(error).startsWith('22')) return null
  throw error
}

/**
 * For each large transaction, the greatest event time of its rows, which does not change unless some are dated later.
 */
const loads = new WeakMap<Database, Map<string, { readonly xid: string; readonly newest: number | null }>>()

/** The newest rows of a table. */
interface LastRows {
  readonly event: string | null
  readonly xid: string | null
  readonly least: string | null
  readonly rows: string
}

interface WaitingRows {
  readonly waiting: string
  readonly transactions: string
  readonly since: string | null
}

function micros(time: string): string {
  return `(extract(epoch FROM ${time}) * 1000000)::int8::text`
}

const happened = `isfinite(e) AND e <= to_timestamp($1::float8 / 1000000)`

function lastRowsSql(relation: string, event: string): string {
  return `SELECT ${micros(`max(e) FILTER (WHERE ${happened})`)} AS event, max(x)::text AS xid, min(x)::text AS least, count(*)::text AS rows
    FROM (SELECT ${event} AS e, _xid AS x FROM ${relation} ORDER BY _xid DESC LIMIT ${newestRows}) newest`
}

/** The rows of one transaction have no order of arrival. So all rows of a large last transaction are read. */
async function newestOf(db: Database, relation: string, event: string, now: number, last: LastRows | undefined): Promise<number | null> {
  if (last === undefined || last.xid === null || Number(last.rows) < newestRows || last.xid !== last.least) return numberOf(last?.event)
  const known = loads.get(db) ?? new Map<string, { readonly xid: string; readonly newest: number | null }>()
  loads.set(db, known)
  const name = `${relation} ${event}`
  const before = known.get(name)
  if (before?.xid === last.xid) return before.newest
  const [all] = await db.query<{ event: string | null; later: boolean | null }>(
    `
    SELECT ${micros(`max(e) FILTER (WHERE ${happened})`)} AS event,
           bool_or(isfinite(e) AND NOT (${happened})) AS later
    FROM (SELECT ${event} AS e FROM ${relation}
          WHERE _xid = '${last.xid}'::xid8 AND (SELECT pg_relation_size(to_regclass(${sqlText(relation)}))) <= ${maxBytes}) load`,
    [now],
  )
  const newest = numberOf(all?.event)
  if (all?.later !== true) known.set(name, { xid: last.xid, newest })
  return newest
}

function numberOf(text: string | null | undefined): number | null {
  return text === null || text === undefined ? null : Number(text)
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

/** Tables in which arrivals can be found. They are checked once a minute: a table seldom loses a column or an index. */
const searchable = memoizeWeak((_db: Database) => new WeakMap<ViewPlan, { readonly relation: string; readonly untilMs: number }>())
const searchableMs = 60_000

/** The tables of views' sources; null: arrivals cannot be found in it. */
type SearchableTables = ReadonlyMap<ViewPlan, string | null>

/**
 * The tables of several views, by a few statements for all. A view is not in it if its source is missing or wrong:
 * `sourceLag` fails for it.
 */
export async function searchableTables(db: Database, plans: readonly ViewPlan[]): Promise<SearchableTables> {
  const tables = new Map<ViewPlan, string | null>()
  const unchecked: { readonly plan: ViewPlan; readonly table: string }[] = []
  for (const plan of plans) {
    const known = knownTable(db, plan)
    const table = sourceTableName(plan.spec.source)
    if (known === null && table !== null) unchecked.push({ plan, table })
    else tables.set(plan, known)
  }
  const relations = unchecked.map(({ table }) => table)
  try {
    const columns = await columnsOfTables(db, relations)
    const indexed = await tablesWithArrivals(db, relations)
    for (const { plan, table } of unchecked) {
      const described = columns.get(table)
      if (described === undefined || missingColumns(plan.spec.source, described).length > 0) continue
      const { hasRow, hasXid } = arrivalColumns(new Map(described.map(({ name, type }) => [name, type])))
      tables.set(plan, hasRow && hasXid && indexed.has(table) ? noteTable(db, plan, table) : null)
    }
  } catch (error) {
    // the name of a table is wrong, or its schema must not be used
    if (!/^(0A|42)/.test(sqlState(error))) throw error
  }
  return tables
}

/** The table of a view's source; null: arrivals cannot be found in it. */
async function searchableTable(db: Database, plan: ViewPlan): Promise<string | null> {
  const known = knownTable(db, plan)
  if (known !== null) return known
  const { relation, hasXid, hasRow } = await readSourceTable(db, plan.spec.source)
  if (!hasXid || !hasRow || !(await tablesWithArrivals(db, [relation])).has(relation)) return null
  return noteTable(db, plan, relation)
}

/** null: it was not checked within a minute. */
function knownTable(db: Database, plan: ViewPlan): string | null {
  const known = searchable(db).get(plan)
  return known !== undefined && performance.now() < known.untilMs ? known.relation : null
}

function noteTable(db: Database, plan: ViewPlan, relation: string): string {
  searchable(db).set(plan, { relation, untilMs: performance.now() + searchableMs })
  return relation
}

/** Those of the tables in which arrivals can be found: by an index, or because they are small. */
async function tablesWithArrivals(db: Database, relations: readonly string[]): Promise<ReadonlySet<string>> {
  if (relations.length === 0) return new Set()
  const found = await db.query<{ relation: string }>(
    `SELECT r.relation FROM (SELECT relation, to_regclass(relation) AS oid FROM unnest($1::text[]) AS relation) r
     JOIN pg_class c ON c.oid = r.oid
     WHERE EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                   WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = '_xid')
           OR c.relkind IN ('r', 'm') AND pg_relation_size(c.oid) <= ${smallBytes}`,
    [[...new Set(relations)]],
  )
  return new Set(found.map(({ relation }) => relation))
}
