import type { Frontier } from '../../kernel/states/frontier.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import type { SearchableTables } from './searchable-tables.ts'

/** Waiting rows are counted up to this number. */
export const maxCountedRows = 10_000
/** The newest event is searched among this number of newest rows, or among all rows of the last transaction. */
const newestRows = 1000
/** In a larger table, not all rows of the last transaction are read. */
const maxBytes = 1024 * 1024 * 1024
const viewsPerStatement = 100

/** A view, and what all of its states hold; null: it is not stored. */
export interface StoredView {
  readonly plan: ViewPlan
  readonly frontier: Frontier | null
}

/** The rows that arrived, by the tables of sources, before the states are read. */
export interface ArrivedRows {
  readonly newestEvent: number | null
  /** Rows beyond the frontier. */
  readonly waiting: WaitingRows
}

/** Committed rows that are in no state. */
export interface WaitingRows {
  /** 10,000 means: that many or more. */
  readonly rows: number
  /** How many transactions wrote them. */
  readonly transactions: number
  /**
   * When the first of them became visible (the later of its two times), epoch microseconds; null where there are none.
   */
  readonly visibleSince: number | null
}

/**
 * Reads which rows arrived in the tables of many views, by a few statements for all.
 *
 * @returns a view is not in it if `sourceLag` must read its table: the table is wrong, or not searchable
 */
export async function readArrivedRows(
  db: Database,
  views: readonly StoredView[],
  now: number,
  tables: SearchableTables,
): Promise<ReadonlyMap<ViewPlan, ArrivedRows>> {
  const searched = views.flatMap((view) => {
    const relation = tables.get(view.plan) ?? null
    return relation === null ? [] : [{ ...view, relation }]
  })
  const found = new Map<ViewPlan, ArrivedRows>()
  async function readPart(part: typeof searched): Promise<void> {
    try {
      for (const [plan, rows] of await readTogether(db, part, now)) found.set(plan, rows)
    } catch (error) {
      // a value cannot be read, or a column or a permission is missing: that hides no other view
      if (!/^(22|42)/.test(sqlState(error))) throw error
      if (part.length === 1) return
      const middle = part.length >>> 1
      await readPart(part.slice(0, middle))
      await readPart(part.slice(middle))
    }
  }
  for (let i = 0; i < searched.length; i += viewsPerStatement) await readPart(searched.slice(i, i + viewsPerStatement))
  return found
}

/**
 * Reads it for views whose tables are known, by two statements, or three after large loads. If one table is wrong, it
 * fails.
 */
export async function readTogether(
  db: Database,
  views: readonly (StoredView & { readonly relation: string })[],
  now: number,
): Promise<ReadonlyMap<ViewPlan, ArrivedRows>> {
  const events = views.map(({ plan }) => `${sqlIdentifier(plan.spec.source.eventTime)}::timestamptz`)
  const newest = await newestEvents(
    db,
    views.map(({ relation }, i) => ({ relation, event: events[i] as string })),
    now,
  )
  const waiting = await waitingRows(
    db,
    views.flatMap(({ plan, relation, frontier }, i) => {
      const known = plan.spec.source.known
      const event = events[i] as string
      const visible = known === null ? event : `greatest(${event}, ${sqlIdentifier(known)}::timestamptz)`
      return frontier === null ? [] : [{ plan, relation, visible, frontier }]
    }),
  )
  return new Map(views.map(({ plan }, i) => [plan, { newestEvent: newest[i] ?? null, waiting: waiting.get(plan) ?? noneWaiting }]))
}

const noneWaiting: WaitingRows = { rows: 0, transactions: 0, visibleSince: null }

async function waitingRows(
  db: Database,
  views: readonly { readonly plan: ViewPlan; readonly relation: string; readonly visible: string; readonly frontier: Frontier }[],
): Promise<ReadonlyMap<ViewPlan, WaitingRows>> {
  if (views.length === 0) return new Map()
  // the frontiers are no part of the text, so that the statement stays the same
  const selects = views.map(
    ({ relation, visible }, i) => `
      SELECT ${i} AS view, count(*)::text AS rows, count(DISTINCT x)::text AS transactions, ${micros('min(v) FILTER (WHERE isfinite(v))')} AS since
      FROM (SELECT _xid AS x, ${visible} AS v FROM ${relation}
            WHERE _xid >= $${3 * i + 1}::text::xid8 AND NOT EXISTS (
              SELECT FROM unnest($${3 * i + 2}::text[]::xid8[], $${3 * i + 3}::text[]::xid8[]) AS folded (first, upto) WHERE _xid >= first AND _xid < upto)
            ORDER BY _xid LIMIT ${maxCountedRows}) beyond`,
  )
  const found = await db.query<CountedRows>(
    selects.join(' UNION ALL '),
    views.flatMap(({ frontier: { below, beyond } }) => [
      String(Math.max(0, below)),
      beyond.map(({ from }) => String(from)),
      beyond.map(({ to }) => String(to)),
    ]),
  )
  return new Map(
    found.map(({ view, rows, transactions, since }) => [
      (views[view] as (typeof views)[number]).plan,
      { rows: Number(rows), transactions: Number(transactions), visibleSince: numberOf(since) },
    ]),
  )
}

/**
 * For each large transaction, the greatest event time of its rows, which does not change unless some are dated later.
 */
const loadsOf = memoizeWeak((_db: Database) => new Map<string, { readonly xid: string; readonly newest: number | null }>())

/** The newest rows of a table. */
interface LastRows {
  readonly event: string | null
  readonly xid: string | null
  readonly least: string | null
  readonly rows: string
}

interface CountedRows {
  /** By index of the views. */
  readonly view: number
  readonly rows: string
  readonly transactions: string
  readonly since: string | null
}

/** The expression of the event time, in a table. */
interface EventsOf {
  readonly relation: string
  readonly event: string
}

function micros(time: string): string {
  return `(extract(epoch FROM ${time}) * 1000000)::int8::text`
}

const happened = `isfinite(e) AND e <= to_timestamp($1::float8 / 1000000)`

/** The greatest event time until now of each, among the rows that arrived last. Equal ones are read once. */
async function newestEvents(db: Database, all: readonly EventsOf[], now: number): Promise<(number | null)[]> {
  const texts = all.map(
    ({
      relation,
      event,
    }) => `SELECT ${micros(`max(e) FILTER (WHERE ${happened})`)} AS event, max(x)::text AS xid, min(x)::text AS least, count(*)::text AS rows
    FROM (SELECT ${event} AS e, _xid AS x FROM ${relation} ORDER BY _xid DESC LIMIT ${newestRows}) newest`,
  )
  const last = await readEach<LastRows>(db, texts, now)
  const loaded = all.map(({ relation, event }, i): string | null => {
    const { xid, least, rows } = last[i] as LastRows
    // the rows of one transaction have no order of arrival, so all rows of a large last transaction are read
    return xid === null || Number(rows) < newestRows || xid !== least ? null : loadSql(relation, event, xid)
  })
  const known = loadsOf(db)
  const nameOf = (i: number): string => `${all[i]?.relation} ${all[i]?.event}`
  const isUnknown = (i: number): boolean => loaded[i] !== null && known.get(nameOf(i))?.xid !== last[i]?.xid
  const unknown = all.map((_, i) => i).filter(isUnknown)
  const read = await readEach<LoadedRows>(
    db,
    unknown.map((i) => loaded[i] as string),
    now,
  )
  const newestOfLoad = new Map(unknown.map((i, at) => [i, numberOf(read[at]?.event)]))
  for (const [at, i] of unknown.entries())
    if (read[at]?.later !== true) known.set(nameOf(i), { xid: String(last[i]?.xid), newest: newestOfLoad.get(i) ?? null })
  return all.map((_, i) => {
    if (loaded[i] === null) return numberOf(last[i]?.event)
    return newestOfLoad.has(i) ? (newestOfLoad.get(i) ?? null) : (known.get(nameOf(i))?.newest ?? null)
  })
}

interface LoadedRows {
  readonly event: string | null
  readonly later: boolean | null
}

function loadSql(relation: string, event: string, xid: string): string {
  return `SELECT ${micros(`max(e) FILTER (WHERE ${happened})`)} AS event, bool_or(isfinite(e) AND NOT (${happened})) AS later
    FROM (SELECT ${event} AS e FROM ${relation}
          WHERE _xid = '${xid}'::xid8 AND (SELECT pg_relation_size(to_regclass(${sqlText(relation)}))) <= ${maxBytes}) load`
}

/** The row of each statement, by one statement for all. */
async function readEach<Row>(db: Database, texts: readonly string[], now: number): Promise<Row[]> {
  const distinct = [...new Set(texts)]
  if (distinct.length === 0) return []
  const rows = await db.query<Row & { readonly place: number }>(
    distinct.map((text, i) => `SELECT ${i} AS place, * FROM (${text}) each`).join(' UNION ALL '),
    [now],
  )
  const byPlace = new Map(rows.map((row) => [row.place, row]))
  return texts.map((text) => byPlace.get(distinct.indexOf(text)) as Row)
}

function numberOf(text: string | null | undefined): number | null {
  return text === null || text === undefined ? null : Number(text)
}
