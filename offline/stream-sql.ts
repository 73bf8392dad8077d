import type { EntityKey } from '../kernel/entity-key.ts'
import { decodeKey } from '../kernel/entity-key.ts'
import { formatTimestamp } from '../kernel/time.ts'
import type { Column, KeyType, Scalar, Value } from '../kernel/value-type.ts'
import { sqlIdentifier, sqlText } from '../runtime/sql.ts'
import type { SourceTable } from './source-table.ts'
import { castTo, sqlTypeName } from './sql-type.ts'

/** What is to be read of a source, and in which order. */
export interface StreamRequest {
  readonly table: SourceTable
  /** The source's columns that hold the entity's key, with the entity's types. */
  readonly key: readonly Column<KeyType>[]
  readonly eventTime: string
  readonly known: string | null
  /** The columns to deliver, after the key, the times and what is asked for by `row` and `xid`. */
  readonly columns: readonly Column[]
  readonly row: boolean
  readonly xid: boolean
  /** Sort by when a row was known (the rule of time), or by when it happened (`knowledge: 'latest'`). */
  readonly order: 'known' | 'event'
  readonly bounds: StreamBounds
}

/** Which rows are wanted; each bound only leaves out rows that cannot matter. */
export interface StreamBounds {
  readonly keys?: readonly EntityKey[]
  /** A SELECT of key parts, in the key's order and types. */
  readonly keysIn?: string
  /** Epoch microseconds: rows that sort after it are left out. */
  readonly until?: number
  /** Epoch microseconds: rows that happened before it are left out. */
  readonly eventFrom?: number
  /** Epoch microseconds: rows that were known, else happened, at it or after it are left out. */
  readonly knownBefore?: number
  /** Only rows written by transactions in [from, to). */
  readonly arrival?: { readonly from: number; readonly to: number }
}

/**
 * The SELECT behind an ordered stream: key parts, event time, known time where there is one, `_row`, `_xid`, columns. Every column is named
 * through the alias `s`, so that ORDER BY never mistakes an output for a column.
 */
export function streamSelect(request: StreamRequest): string {
  const { table, key } = request
  const column = (name: string): string => `s.${sqlIdentifier(name)}`
  const typed = ({ name, type }: Column): string => castTo(type, column(name), table.types.get(name))
  const time = (name: string): string => castTo({ kind: 'timestamp' }, column(name), table.types.get(name))
  const keys = key.map((part) => (part.type.kind === 'string' ? `${typed(part)} COLLATE "C"` : typed(part)))
  const outputs = [
    ...keys,
    time(request.eventTime),
    ...(request.known === null ? [] : [time(request.known)]),
    ...(request.row ? ['s."_row"'] : []),
    ...(request.xid ? ['s."_xid"'] : []),
    ...request.columns.map(typed),
  ]
  const sortTime =
    request.known === null || request.order === 'event'
      ? column(request.eventTime)
      : `greatest(${column(request.eventTime)}, ${column(request.known)})`
  const literal = (micros: number): string => timeLiteral(micros, table.types.get(request.eventTime))
  const { keys: only, keysIn, until, eventFrom, knownBefore, arrival } = request.bounds
  const conditions = [
    ...key.map((part) => `${column(part.name)} IS NOT NULL`),
    ...(only === undefined ? [] : [keyCondition(key, keys, only)]),
    ...(keysIn === undefined || key.length === 0 ? [] : [`(${keys.join(', ')}) IN (${keysIn})`]),
    ...(until === undefined ? [] : [`${sortTime} <= ${literal(until)}`]),
    ...(eventFrom === undefined ? [] : [`${column(request.eventTime)} >= ${literal(eventFrom)}`]),
    ...(knownBefore === undefined ? [] : [`${knownTime(request, column)} < ${timeLiteral(knownBefore, undefined)}`]),
    ...(arrival === undefined || arrival.from === 0 ? [] : [`s."_xid" >= '${arrival.from}'::xid8`]),
    ...(arrival === undefined ? [] : [`s."_xid" < '${arrival.to}'::xid8`]),
  ]
  return `SELECT ${outputs.join(', ')} FROM ${table.relation} s WHERE ${conditions.join(' AND ') || 'true'} ORDER BY ${[...keys, sortTime].join(', ')}`
}

/** When a row was known, or else happened; a known time of -infinity says no more than none. */
function knownTime({ known, eventTime }: StreamRequest, column: (name: string) => string): string {
  return known === null ? column(eventTime) : `coalesce(nullif(${column(known)}, '-infinity'), ${column(eventTime)})`
}

/**
 * Which of the source's rows a stream up to the transaction `to` leaves out: `dropped` lack a part of the key, and so belong to no entity; `later` arrived from `to`
 * on. `newest` is the greatest transaction of these. Where the table does not tell arrivals, all have arrived.
 */
export function leftOutSelect(table: SourceTable, key: readonly Column[], to: number): string {
  const keyless = key.map(({ name }) => `s.${sqlIdentifier(name)} IS NULL`).join(' OR ') || 'false'
  if (!table.hasXid) return `SELECT count(*) AS dropped, 0::int8 AS later, null::xid8 AS newest FROM ${table.relation} s WHERE ${keyless}`
  const later = `s."_xid" >= '${to}'::xid8`
  return (
    `SELECT count(*) FILTER (WHERE NOT ${later}) AS dropped, count(*) FILTER (WHERE ${later}) AS later, ` +
    `max(s."_xid") FILTER (WHERE ${later}) AS newest FROM ${table.relation} s WHERE ${later} OR ${keyless}`
  )
}

/** Epoch microseconds as a literal that compares with a column of type `actual` without converting the column. */
export function timeLiteral(micros: number, actual: string | undefined): string {
  return `${actual === 'timestamp' || actual === 'date' ? 'timestamp' : 'timestamptz'} '${formatTimestamp(micros)}'`
}

function keyCondition(parts: readonly Column<KeyType>[], expressions: readonly string[], keys: readonly EntityKey[]): string {
  if (keys.length === 0) return 'false'
  if (parts.length === 0) return 'true' // one entity, the whole world
  const tuples = keys.map((key) => {
    const values = decodeKey(parts, key)
    return `(${parts.map(({ type }, i) => keyLiteral(type, values[i] as Value)).join(', ')})`
  })
  // PostgreSQL hashes a list of single values, but compares each row with each of a list of tuples, unless they stand in VALUES.
  return `(${expressions.join(', ')}) IN (${parts.length > 1 ? 'VALUES ' : ''}${tuples.join(', ')})`
}

function keyLiteral(type: KeyType, value: Value): string {
  if (type.kind === 'string') return sqlText(value as string)
  if (type.kind === 'timestamp') return timeLiteral(value as number, undefined)
  return `'${(value as Scalar).toString()}'::${sqlTypeName(type)}`
}
