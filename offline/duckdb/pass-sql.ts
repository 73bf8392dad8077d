import type { Column, ColumnType } from '../../kernel/values/value-type.ts'
import type { TimeRule } from '../../kernel/view-plan.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { PassLayout, StreamLayout } from '../partition/partition-layout.ts'
import { safeInteger } from '../partition/partition-layout.ts'
import type { Spine } from '../spine/spine.ts'
import type { DuckDbTypes } from './duckdb-columns.ts'
import { columnSql, parquetSql, sentSql } from './duckdb-columns.ts'
import { spineSql } from './duckdb-spine.ts'

/** The files of a source, and what DuckDB says of their columns. */
export interface PassTable {
  readonly paths: readonly string[]
  readonly types: DuckDbTypes
  /** Rows with an earlier event time are left out, epoch microseconds; null: none are. */
  readonly fromMicros: number | null
}

/**
 * Columns that files may have beside the declared ones: the order in which rows arrived, and whether they are no
 * history.
 */
export const rowColumn = '_row'
export const onlineOnlyColumn = '_online_only'

/** By name of the source. */
export type PassSources = ReadonlyMap<string, PassTable>

/** The keys of one of several processes, by their hash. */
export interface KeyShare {
  /** From 0. */
  readonly number: number
  readonly of: number
}

/** The statements for the rows of a pass in their order. */
export interface PassSql {
  /** Makes the table that the others read. */
  readonly prepare: string
  /** The keys that rows with the tag -1 begin, in the order of these rows. null: the pass has no key. */
  readonly keys: string | null
  readonly rows: string
  /**
   * By column of the rows: the columns of the pass that it fills, by index of the input. No row needs the others; `n`
   * is 0 without a column. Those of `controls` are DOUBLE.
   */
  readonly columns: readonly (readonly number[])[]
}

/**
 * The ordered rows of a pass: those of its sources that some question can see, and the questions.
 *
 *     asked    the questions of all mappings
 *     bounds   a table: the first and last moment that is asked of each key, and the number of the key in their order
 *     rows     sorted by that number, which costs half of what sorting by the keys does
 *
 * A row with the tag -1 begins each key. The keys come by a query of their own, because texts make the sort of the rows
 * a fifth dearer. Other keys and later rows are not sorted.
 */
export function passSql(
  layout: PassLayout,
  spine: Pick<Spine, 'table' | 'columns' | 'time'>,
  sources: PassSources,
  rule: TimeRule,
  share: KeyShare | null,
): PassSql {
  const { pass, streams, input } = layout
  const keys = pass.key.map((_, i) => `k${i}`)
  const sourceColumns = streams.flatMap((stream) => {
    const { types } = tableOf(sources, stream)
    const width = types.has(rowColumn) ? stream.delivered : stream.columns.length
    return Array.from({ length: width }, (_, i) => stream.from + i)
  })
  const sent: Sent = {
    number: streams.length > 1 || pass.mappings.length > 1,
    known: streams.some(({ source }) => source.known !== null),
    row: streams.some((stream) => tableOf(sources, stream).types.has(rowColumn)),
  }
  const at = (name: string): number => input.findIndex((column) => column.name === name)
  const columns = [
    [at('t')],
    [at('tag')],
    // a question has a number, and a row of a source an event time
    [at('o'), at('e')],
    ...(['n', 'known', 'row'] as const).filter((name) => sent[name === 'n' ? 'number' : name]).map((name) => [at(name)]),
    ...sourceColumns.map((column) => [column]),
  ]
  const asked = pass.mappings.map(({ columns: mapped }, n) => {
    const present = mapped.map((name) => `${spineSql(spine, name)} IS NOT NULL`)
    if (share !== null)
      present.push(
        isInShare(
          mapped.map((name) => spineSql(spine, name)),
          share,
        ),
      )
    const parts = mapped.map((name, i) => `${spineSql(spine, name)} AS "k${i}"`)
    return `SELECT ${[...parts, `${spineSql(spine, spine.time)} AS "t"`, `${n} AS "n"`, 's."o" AS "o"'].join(', ')} FROM ${spine.table} s WHERE ${present.join(' AND ') || 'true'}`
  })
  const quoted = keys.map((key) => `"${key}"`)
  const sentKeys = pass.key.map(({ type }, i) => sentSql(`"k${i}"`, type))
  const named = columns.map(([first = 0]) => `"${(input[first] as Column).name}"`)
  const spans = `SELECT ${[...quoted, 'min("t") AS "first"', 'max("t") AS "last"'].join(', ')} FROM "asked"${keys.length === 0 ? '' : ` GROUP BY ${quoted.join(', ')}`}`
  // with a wider number or tag, the sort costs a third more
  const bounds = `SELECT CAST(row_number() OVER (${keys.length === 0 ? '' : `ORDER BY ${quoted.join(', ')}`}) AS UINTEGER) AS "key", * FROM (${spans})`
  const none = [
    ...(sent.known ? [unread(safeInteger)] : []),
    ...(sent.row ? [unread(safeInteger)] : []),
    ...sourceColumns.map((column) => unread((input[column] as Column).type)),
  ]
  const number = (n: string): string[] => (sent.number ? [n] : [])
  const begins = `SELECT ${['"key"', "CAST('-Infinity' AS DOUBLE)", tag(-1), unread(safeInteger), ...number('0'), ...none].join(', ')} FROM "bounds"`
  const rows = streams.map((stream, n) => streamSql(layout, stream, n, tableOf(sources, stream), sourceColumns, sent, rule))
  const questions = `SELECT ${['q."key"', 'a."t"', tag(1), 'a."o"', ...number('a."n"'), ...none].join(', ')} FROM "asked" a JOIN "bounds" q ON ${quoted.map((key) => `a.${key} = q.${key}`).join(' AND ') || 'true'}`
  const all = [begins, ...rows, questions]
  // as the others, so that one loop reads all of them
  const doubles = ['"tag"', '"n"']
  const selected = named.map((name) => (doubles.includes(name) ? `CAST(${name} AS DOUBLE)` : name))
  const withAsked = `WITH "asked" AS (${asked.join(' UNION ALL ')})`
  return {
    prepare: `CREATE OR REPLACE TABLE "bounds" AS ${withAsked} ${bounds}`,
    keys: keys.length === 0 ? null : `SELECT ${sentKeys.join(', ')} FROM "bounds" ORDER BY "key"`,
    rows: `${withAsked}, "rows"("key", ${named.join(', ')}) AS (${all.join(' UNION ALL ')}) SELECT ${selected.join(', ')} FROM "rows" ORDER BY "key", "t", "tag"`,
    columns,
  }
}

/** Which columns the rows of a pass have: no row needs the others. */
interface Sent {
  readonly number: boolean
  readonly known: boolean
  readonly row: boolean
}

function tag(tag: -1 | 0 | 1): string {
  return `CAST(${tag} AS TINYINT)`
}

/** Rows of sources follow the questions: they are joined with the keys that are asked. */
function isInShare(keys: readonly string[], { number, of }: KeyShare): string {
  return keys.length === 0 ? String(number === 0) : `hash(${keys.join(', ')}) % ${of} = ${number}`
}

function streamSql(
  { pass, input }: PassLayout,
  stream: StreamLayout,
  n: number,
  table: PassTable,
  sourceColumns: readonly number[],
  sent: Sent,
  rule: TimeRule,
): string {
  const { source, key, columns, from } = stream
  const { types } = table
  const what = `The files of the source "${source.name}"`
  const time = (name: string): string => columnSql(types, name, { kind: 'timestamp' }, what)
  const event = time(source.eventTime)
  const known = source.known === null ? noNumber : time(source.known)
  const sortTime = source.known === null || rule.knowledge === 'latest' ? event : `greatest(${event}, ${known})`
  const parts = key.map((part, i) => `${columnSql(types, part.name, part.type, what)} AS "k${i}"`)
  const row = types.has(rowColumn) ? `CAST(s."${rowColumn}" AS DOUBLE)` : noNumber
  const inner = [...parts, `${sortTime} AS "t"`, `${event} AS "e"`, `${known} AS "known"`, `${row} AS "row"`]
  const own = sourceColumns.filter((at) => at >= from && at - from < columns.length).map((at) => at - from)
  for (const i of own) {
    const { name, type } = columns[i] as Column
    inner.push(`${columnSql(types, name, type, what)} AS "s${n}_${i}"`)
  }
  const outer = sourceColumns.map((at) =>
    at >= from && at - from < columns.length
      ? sentSql(`r."s${n}_${at - from}"`, (input[at] as Column).type)
      : unread((input[at] as Column).type),
  )
  const horizon = Math.max(...(pass.streams[n]?.plans ?? []).map((plan) => plan.horizonMicros))
  const joined = [
    ...key.map((_, i) => `r."k${i}" = q."k${i}"`),
    // a row without a time is an error, so it must come
    '(r."t" <= q."last" OR r."t" IS NULL)',
    ...(Number.isFinite(horizon) ? [`(r."e" >= q."first" - ${horizon} OR r."e" IS NULL)`] : []),
  ]
  // rows that were pushed to the online store alone are no history
  const offline = types.get(onlineOnlyColumn) === 'BOOLEAN' ? `NOT coalesce(s."${onlineOnlyColumn}", false)` : 'true'
  const given = [
    'q."key"',
    'coalesce(r."t", 0)',
    tag(0),
    `coalesce(r."e", ${noNumber})`,
    ...(sent.number ? [String(n)] : []),
    ...(['known', 'row'] as const).filter((name) => sent[name]).map((name) => `coalesce(r."${name}", ${noNumber})`),
    ...outer,
  ]
  return (
    `SELECT ${given.join(', ')} ` +
    `FROM (SELECT ${inner.join(', ')} FROM ${rowsSql(source, table)} WHERE ${offline}) r JOIN "bounds" q ON ${joined.join(' AND ')}`
  )
}

/** Counts the rows of a source that lack a part of any of these keys. */
export function droppedSql(source: SourceSpec, table: PassTable, keys: readonly Column[]): string {
  const lacking = keys.map(({ name }) => `s.${sqlIdentifier(name)} IS NULL`).join(' OR ') || 'false'
  return `SELECT CAST(count(*) AS DOUBLE) FROM ${rowsSql(source, table)} WHERE ${lacking}`
}

/**
 * The rows of a source since its `from`. A row without a time is an error, so it stays. It comes from a scan of its
 * own: DuckDB skips row groups by their statistics for a comparison, and for none that may be NULL.
 */
function rowsSql({ eventTime }: SourceSpec, { paths, types, fromMicros }: PassTable): string {
  const rows = parquetSql(paths)
  if (fromMicros === null) return `${rows} s`
  const name = `s.${sqlIdentifier(eventTime)}`
  const zoned = types.get(eventTime) === 'TIMESTAMP WITH TIME ZONE'
  const time = zoned || types.get(eventTime) === 'TIMESTAMP' ? name : `CAST(${name} AS TIMESTAMP)`
  const from = `${zoned ? 'make_timestamptz' : 'make_timestamp'}(${fromMicros})`
  const scans = [`${time} >= ${from}`, `${name} IS NULL`].map((condition) => `SELECT * FROM ${rows} s WHERE ${condition}`)
  return `(${scans.join(' UNION ALL ')}) s`
}

function tableOf(sources: PassSources, { source }: StreamLayout): PassTable {
  const table = sources.get(source.name)
  if (table === undefined) throw new TypeError(`The source "${source.name}" has no files.`)
  return table
}

/** Stands for NULL in a column of numbers that may not be NaN: columns with NULL are read much more slowly. */
const noNumber = "CAST('NaN' AS DOUBLE)"

/** A value that nobody reads, in a row of another kind. It is not NULL, if the type has another value for it. */
function unread({ kind }: ColumnType): string {
  const values = {
    bool: 'false',
    int32: 'CAST(0 AS INTEGER)',
    int64: 'CAST(0 AS BIGINT)',
    float32: 'CAST(0 AS FLOAT)',
    float64: 'CAST(0 AS DOUBLE)',
    string: "''",
    timestamp: 'CAST(0 AS DOUBLE)',
    vector: 'CAST(NULL AS FLOAT[])',
  }
  return values[kind]
}
