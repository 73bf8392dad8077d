import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { decodeKey } from '../../kernel/values/entity-key.ts'
import type { Frontier, TransactionRange } from '../../kernel/states/frontier.ts'
import { transactionRanges } from '../../kernel/states/frontier.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Column, KeyType, Scalar, Value } from '../../kernel/values/value-type.ts'
import { maxMicros } from '../../kernel/values/value-type.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import type { NeededRows } from '../index-lookup.ts'
import type { SourceTable } from './source-table.ts'
import { castTo, sqlTypeName } from './sql-type.ts'

/** The rows and columns to read from a source, and their order. */
export interface StreamRequest {
  readonly table: SourceTable
  /** The source's columns that hold the entity's key, with the entity's types. */
  readonly key: readonly Column<KeyType>[]
  readonly eventTime: string
  readonly known: string | null
  /** The columns to deliver, after the key, the times, `row` and `xid`. */
  readonly columns: readonly Column[]
  readonly row: boolean
  readonly xid: boolean
  /** Sort by when a row was known (the rule of time), or by when it happened (`knowledge: 'latest'`). */
  readonly order: 'known' | 'event'
  readonly bounds: StreamBounds
}

/** Which rows to read; each bound only leaves out rows that cannot matter. */
export interface StreamBounds {
  readonly keys?: readonly EntityKey[]
  /** A SELECT of key parts, in the key's order and types. */
  readonly keysIn?: string
  readonly keyRange?: KeyRange
  /** Epoch microseconds: rows that sort after it are left out. */
  readonly until?: number
  /** Epoch microseconds: rows that happened before it are left out. */
  readonly eventFrom?: number
  /** Epoch microseconds: rows that were known, else happened, at it or after it are left out. */
  readonly knownBefore?: number
  /** Only rows written by transactions in [from, to), except those of some ranges in it, ascending and disjoint. */
  readonly arrival?: Arrival
  /** Only these rows, of a table that `nearApplies` to. */
  readonly near?: NeededRows
  /** Rows that were pushed to the online store alone, too: the materializer reads them, training and history do not. */
  readonly onlineOnly?: boolean
}

export interface Arrival extends TransactionRange {
  readonly except?: readonly TransactionRange[]
}

/** The keys in [from, to): the text of each part as PostgreSQL writes it; null: no bound. */
export interface KeyRange {
  readonly from: readonly string[] | null
  readonly to: readonly string[] | null
  /** The last key, which is in the range, in place of `to`. */
  readonly last?: readonly string[]
}

/**
 * The SELECT behind an ordered stream: key parts, event time, known time where there is one, `_row`, `_xid`, columns.
 * Every column is named through the alias `s`, so that ORDER BY never mistakes an output for a column.
 */
export function streamSelect(request: StreamRequest): string {
  const { table } = request
  const { near } = request.bounds
  const parts = partsOf(request)
  const { keys, sortTime } = parts
  const outputs = [
    ...keys,
    parts.time(request.eventTime),
    ...(request.known === null ? [] : [parts.time(request.known)]),
    ...(request.row ? ['s."_row"'] : []),
    ...(request.xid ? ['s."_xid"'] : []),
    ...request.columns.map(parts.typed),
  ]
  const conditions = conditionsOf(request, parts)
  if (near === undefined)
    return `SELECT ${outputs.join(', ')} FROM ${table.relation} s WHERE ${conditions.join(' AND ') || 'true'} ORDER BY ${[...keys, sortTime].join(', ')}`
  const named = [...outputs.map((output, i) => `${output} AS c${i}`), `${sortTime} AS t`]
  const rows = nearRows(request, parts, near, named.join(', '), conditions)
  const order = [...keys.map((_, i) => `u.c${i}`), 'u.t']
  return `SELECT ${outputs.map((_, i) => `u.c${i}`).join(', ')} FROM (${rows}) u ORDER BY ${order.join(', ')}`
}

/**
 * Whether rows near lookups can be read. Such a read may return a row twice, which must not look like two equal rows.
 * For latest values alone that does not matter.
 */
export function nearApplies(table: SourceTable, { apart }: NeededRows): boolean {
  return table.hasRow || apart
}

interface Parts {
  readonly column: (name: string) => string
  readonly typed: (column: Column) => string
  readonly time: (name: string) => string
  readonly literal: (micros: number) => string
  readonly keys: readonly string[]
  readonly sortTime: string
}

function partsOf({ table, key, eventTime, known, order }: Pick<StreamRequest, 'table' | 'key' | 'eventTime' | 'known' | 'order'>): Parts {
  const column = (name: string): string => `s.${sqlIdentifier(name)}`
  const typed = ({ name, type }: Column): string => castTo(type, column(name), table.types.get(name))
  return {
    column,
    typed,
    time: (name) => castTo({ kind: 'timestamp' }, column(name), table.types.get(name)),
    literal: (micros) => timeLiteral(micros, table.types.get(eventTime)),
    keys: key.map((part) => (part.type.kind === 'string' ? `${typed(part)} COLLATE "C"` : typed(part))),
    sortTime: known === null || order === 'event' ? column(eventTime) : `greatest(${column(eventTime)}, ${column(known)})`,
  }
}

function conditionsOf(request: StreamRequest, { column, keys, sortTime, literal }: Parts): string[] {
  const { key, table } = request
  const { keys: only, keysIn, keyRange, until, eventFrom, knownBefore, arrival, onlineOnly } = request.bounds
  return [
    ...(table.hasOnlineOnly && onlineOnly !== true ? [notOnlineOnly] : []),
    ...key.map((part) => `${column(part.name)} IS NOT NULL`),
    ...(only === undefined ? [] : [keyCondition(key, keys, only)]),
    ...(keysIn === undefined || key.length === 0 ? [] : [`(${keys.join(', ')}) IN (${keysIn})`]),
    ...(keyRange === undefined ? [] : rangeConditions(key, keys, keyRange)),
    ...(until === undefined ? [] : [`${sortTime} <= ${literal(until)}`]),
    ...(eventFrom === undefined ? [] : [`${column(request.eventTime)} >= ${literal(eventFrom)}`]),
    ...(knownBefore === undefined ? [] : [`${knownTime(request, column)} < ${timeLiteral(knownBefore, undefined)}`]),
    ...(arrival === undefined ? [] : [arrivalCondition(arrival)]),
  ]
}

/**
 * A range with the rows of these transactions, and also of those between where there are more ranges than `maxRanges`;
 * null: there are none.
 */
export function arrivalRange(transactions: Frontier, maxRanges = Number.POSITIVE_INFINITY): Arrival | null {
  const ranges = transactionRanges(transactions)
  const [first, last] = [ranges[0], ranges.at(-1)]
  if (first === undefined || last === undefined) return null
  const except = ranges.slice(1).map(({ from }, i) => ({ from: (ranges[i] as TransactionRange).to, to: from }))
  return { from: first.from, to: last.to, except: ranges.length > maxRanges ? [] : except }
}

/**
 * Each piece has both bounds, so that PostgreSQL uses an index on `_xid` and estimates few rows even without
 * statistics.
 */
export function arrivalCondition({ from, to, except = [] }: Arrival): string {
  const ends = [from, ...except.flatMap((range) => [range.from, range.to]), to]
  const pieces: string[] = []
  for (let i = 0; i < ends.length; i += 2) {
    const [start = 0, end = 0] = ends.slice(i, i + 2)
    if (start < end) pieces.push(`${start === 0 ? '' : `s."_xid" >= '${start}'::xid8 AND `}s."_xid" < '${end}'::xid8`)
  }
  return pieces.length === 1 ? `${pieces[0]}` : `(${pieces.map((piece) => `(${piece})`).join(' OR ') || 'false'})`
}

/**
 * The rows near some lookups: those of each key's intervals, and those with the greatest event time up to a moment. A
 * row that is found twice has one `_row`, so UNION removes the duplicate.
 */
function nearRows(request: StreamRequest, parts: Parts, near: NeededRows, outputs: string, conditions: readonly string[]): string {
  const { table, key, eventTime } = request
  const { keys, sortTime, column, literal } = parts
  const ofKey = keys.map((part, i) => `${part} = q.k${i}`)
  const listed = (rows: readonly string[], names: readonly string[]): string =>
    `(VALUES ${rows.join(', ')}) q(${[...key.map((_, i) => `k${i}`), ...names].join(', ')})`
  const keyed = (entity: EntityKey, times: readonly number[]): string => {
    const values = decodeKey(key, entity)
    return `(${[...key.map(({ type }, i) => keyLiteral(type, values[i] as Value)), ...times.map(literal)].join(', ')})`
  }
  const selects: string[] = []
  if (near.intervals.length > 0) {
    const intervals = near.intervals.map((interval) => keyed(interval.key, [interval.from, interval.to]))
    const within = [sortTime, column(eventTime)].map((time) => `${time} BETWEEN q.a AND q.b`)
    const wanted = [...ofKey, ...new Set(within), ...conditions]
    // OFFSET 0 keeps the planner from another join order, which it prefers because it has no statistics of the
    // intervals
    const found = `SELECT s.* FROM ${table.relation} s WHERE ${wanted.join(' AND ')} OFFSET 0`
    selects.push(`SELECT ${outputs} FROM ${listed(intervals, ['a', 'b'])} CROSS JOIN LATERAL (${found}) s`)
  }
  if (near.greatest.length > 0) {
    const moments = near.greatest.map(({ key: entity, after, until }) => keyed(entity, [after, until]))
    const until = new Set([sortTime, column(eventTime)].map((time) => `${time} <= q.b`))
    const wanted = [...ofKey, `${column(eventTime)} > q.a`, ...until, ...conditions]
    const found = `SELECT s.* FROM ${table.relation} s WHERE ${wanted.join(' AND ')} ORDER BY ${column(eventTime)} DESC FETCH FIRST 1 ROW WITH TIES`
    selects.push(`SELECT ${outputs} FROM ${listed(moments, ['a', 'b'])} CROSS JOIN LATERAL (${found}) s`)
  }
  return selects.join(near.apart ? ' UNION ALL ' : ' UNION ')
}

/** When a row was known, or happened if that is unknown; a known time of -infinity counts as none. */
function knownTime({ known, eventTime }: StreamRequest, column: (name: string) => string): string {
  return known === null ? column(eventTime) : `coalesce(nullif(${column(known)}, '-infinity'), ${column(eventTime)})`
}

const notOnlineOnly = 'NOT s."_online_only"'

/**
 * Counts the rows that a stream up to the transaction `to` leaves out: `dropped` lack a part of the key and belong to
 * no entity; `later` arrived from `to` on, and `newest` is the greatest transaction of these. In a table without
 * arrival columns, all rows have arrived.
 */
export function leftOutSelect(table: SourceTable, key: readonly Column[], to: number): string {
  const keyless = `(${lacksKey(key)})`
  if (!table.hasXid) return `SELECT count(*) AS dropped, 0::int8 AS later, null::xid8 AS newest FROM ${table.relation} s WHERE ${keyless}`
  const later = `s."_xid" >= '${to}'::xid8`
  return (
    `SELECT count(*) FILTER (WHERE NOT ${later}) AS dropped, count(*) FILTER (WHERE ${later}) AS later, ` +
    `max(s."_xid") FILTER (WHERE ${later}) AS newest FROM ${table.relation} s WHERE (${later} OR ${keyless})${offlineOf(table)}`
  )
}

/**
 * The same where only rows near some lookups are read: `later` counts only those. `dropped` counts in the complete
 * table here too, so that a count does not depend on how rows are read.
 */
export function nearLeftOutSelect(
  request: Omit<StreamRequest, 'columns' | 'row' | 'xid'> & { readonly keyed: readonly Column[] },
  near: NeededRows,
  to: number,
): string {
  const keyless = `SELECT count(*) FROM ${request.table.relation} s WHERE (${lacksKey(request.keyed)})${offlineOf(request.table)}`
  if (!request.table.hasXid) return `SELECT (${keyless}) AS dropped, 0::int8 AS later, null::xid8 AS newest`
  const all = { ...request, columns: [], row: request.table.hasRow, xid: true }
  const outputs = request.table.hasRow ? 's."_xid" AS x, s."_row" AS r' : 's."_xid" AS x'
  const rows = nearRows(all, partsOf(all), near, outputs, request.table.hasOnlineOnly ? [notOnlineOnly] : [])
  return `SELECT (${keyless} AND s."_xid" < '${to}'::xid8) AS dropped, count(*) AS later, max(u.x) AS newest FROM (${rows}) u WHERE u.x >= '${to}'::xid8`
}

function offlineOf({ hasOnlineOnly }: SourceTable): string {
  return hasOnlineOnly ? ` AND ${notOnlineOnly}` : ''
}

function lacksKey(key: readonly Column[]): string {
  return key.map(({ name }) => `s.${sqlIdentifier(name)} IS NULL`).join(' OR ') || 'false'
}

/** Epoch microseconds as a literal that compares with a column of type `actual` without converting the column. */
export function timeLiteral(micros: number, actual: string | undefined): string {
  if (micros < -maxMicros) return `'-infinity'::${actual === 'timestamp' || actual === 'date' ? 'timestamp' : 'timestamptz'}`
  return `${actual === 'timestamp' || actual === 'date' ? 'timestamp' : 'timestamptz'} '${formatTimestamp(micros)}'`
}

function rangeConditions(parts: readonly Column<KeyType>[], expressions: readonly string[], { from, to, last }: KeyRange): string[] {
  const key = `(${expressions.join(', ')})`
  const bound = (texts: readonly string[]): string =>
    `(${parts.map(({ type }, i) => `${sqlText(texts[i] ?? '')}::${sqlTypeName(type)}`).join(', ')})`
  return [
    ...(from === null ? [] : [`${key} >= ${bound(from)}`]),
    ...(to === null ? [] : [`${key} < ${bound(to)}`]),
    ...(last === undefined ? [] : [`${key} <= ${bound(last)}`]),
  ]
}

/** The keys of the rows that happened in [from, to), for `keysIn`. */
export function keysWithinSelect(request: Pick<StreamRequest, 'table' | 'key' | 'eventTime' | 'known'>, from: number, to: number): string {
  const { keys, column, literal } = partsOf({ ...request, order: 'event' })
  const event = column(request.eventTime)
  return `SELECT ${keys.join(', ') || '1'} FROM ${request.table.relation} s WHERE ${event} >= ${literal(from)} AND ${event} < ${literal(to)}`
}

/**
 * The first keys of `pieces` ranges with about the same number of rows each, as text, without the very first; estimated
 * from a random `share` of the rows.
 */
export function keyBoundsSelect(
  request: Pick<StreamRequest, 'table' | 'key' | 'eventTime' | 'known'>,
  pieces: number,
  share: number,
): string {
  const { keys, column } = partsOf({ ...request, order: 'event' })
  const names = keys.map((_, i) => `k${i}`)
  const present = request.key.map(({ name }) => `${column(name)} IS NOT NULL`)
  const chosen = share < 1 ? [`random() < ${share}`] : []
  const sample = `SELECT ${keys.map((key, i) => `${key} AS k${i}`).join(', ')} FROM ${request.table.relation} s WHERE ${[...present, ...chosen].join(' AND ')}`
  const pieced = `SELECT ${names.join(', ')}, ntile(${pieces}) OVER (ORDER BY ${names.join(', ')}) AS piece FROM (${sample}) sample`
  const texts = names.map((name, i) => `${name}::text AS t${i}`)
  return `SELECT DISTINCT ON (piece) ${texts.join(', ')} FROM (${pieced}) pieced ORDER BY piece, ${names.join(', ')} OFFSET 1`
}

function keyCondition(parts: readonly Column<KeyType>[], expressions: readonly string[], keys: readonly EntityKey[]): string {
  if (keys.length === 0) return 'false'
  if (parts.length === 0) return 'true' // one entity, the whole world
  const tuples = keys.map((key) => {
    const values = decodeKey(parts, key)
    return `(${parts.map(({ type }, i) => keyLiteral(type, values[i] as Value)).join(', ')})`
  })
  // PostgreSQL hashes a list of single values, but compares each row with every tuple of a list, unless the list is in
  // VALUES.
  return `(${expressions.join(', ')}) IN (${parts.length > 1 ? 'VALUES ' : ''}${tuples.join(', ')})`
}

function keyLiteral(type: KeyType, value: Value): string {
  if (type.kind === 'string') return sqlText(value as string)
  if (type.kind === 'timestamp') return timeLiteral(value as number, undefined)
  return `'${(value as Scalar).toString()}'::${sqlTypeName(type)}`
}
