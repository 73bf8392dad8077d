import { cutText } from '../../kernel/cut-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ColumnType } from '../../kernel/value-type.ts'
import { maxMicros } from '../../kernel/value-type.ts'
import { servedTime } from '../../kernel/view-plan.ts'
import type { Database } from '../../runtime/database.ts'
import { sqlIdentifier } from '../../runtime/sql.ts'
import { beyondFloat, castTo, sqlTypeName } from '../sql-type.ts'
import type { Seen } from '../stream-bounds.ts'
import { timeLiteral } from '../stream-sql.ts'
import { loadSpineFile } from './load-file.ts'
import { loadSpineQuery } from './load-query.ts'
import { loadViewRows } from './load-view-rows.ts'
import type { SpineOrder } from './query-order.ts'
import { ordersItself } from './query-order.ts'
import type { SpineSample } from './sample-spine.ts'
import { sampleSpine } from './sample-spine.ts'
import type { SpineRole } from './spine-columns.ts'
import { dropLeftovers, takeSpinePlace } from './spine-table.ts'
import type { Spine, SpineColumn, SpineInput } from './spine.ts'
import { ordinalColumn } from './spine.ts'

export interface SpineOptions {
  /**
   * The name of the time column. Absent: the only column of times, else the one named `event_timestamp` or `timestamp`.
   */
  readonly time?: string | null | undefined
  /** The columns to copy. The others may have the names of features or outputs. Absent: all. */
  readonly carried?: readonly string[] | null
  /** Absent: all rows. */
  readonly sample?: SpineSample | null | undefined
  /** Absent: `naturalOrder`. */
  readonly order?: SpineOrder | undefined
  /** For a spine of a view's rows: which rows are read. Absent: all settled rows, by the rule of time. */
  readonly seen?: Omit<Seen, 'arrivedBefore'> & { readonly arrivedBefore: number | null }
  readonly signal?: AbortSignal | undefined
  /** Of a query that joins large tables: PostgreSQL does not look up row by row. */
  readonly largeJoin?: boolean
}

/**
 * Loads a spine into the database and checks it against the service: its keys, its time, its request values. Order,
 * duplicates and NULL keys are kept. Always call `drop` when done with it, also after an error.
 *
 * @throws LockstepError `SPINE_INVALID`, `MISSING_REQUEST_VALUE`, `FEATURE_NAME_CLASH`, `INVALID_ROW`,
 * `FILE_UNREADABLE`
 */
export async function openSpine(db: Database, service: ServicePlan, input: SpineInput, options: SpineOptions = {}): Promise<Spine> {
  await dropLeftovers(db)
  const { id, table, drop } = await takeSpinePlace(db)
  try {
    const { time, roles, types } = await load(db, service, table, input, options)
    const columns = roles.map((role): SpineColumn => {
      const type = role.type ?? { kind: 'string' }
      return { name: role.name, type, sql: castTo(type, `s.${sqlIdentifier(role.name)}`, types.get(role.name)) }
    })
    options.signal?.throwIfAborted()
    const check = (): Promise<SpineFacts> => checkSpine(db, table, time, roles, types, options.signal)
    let facts = await check() // before sampling, so that a message names the row number of the file
    const sample = options.sample ?? null
    if (sample !== null) {
      await sampleSpine(db, table, roles, sample, options.signal)
      facts = await check()
    }
    return { id, table, columns, time, ...facts, drop }
  } catch (error) {
    await drop()
    throw error
  }
}

async function load(
  db: Database,
  service: ServicePlan,
  table: string,
  input: SpineInput,
  options: SpineOptions,
): Promise<{ time: string; roles: readonly SpineRole[]; types: ReadonlyMap<string, string> }> {
  const named = { time: options.time ?? undefined, carried: options.carried ?? null }
  if ('sql' in input) {
    const { order = naturalOrder(input), signal, largeJoin = false } = options
    return loadSpineQuery(db, service, table, input.sql, { order, ...named, signal, largeJoin })
  }
  const everything = { rule: servedTime, knownBefore: null, arrivedBefore: null }
  const loaded =
    'rowsOf' in input
      ? await loadViewRows(db, service, table, input, options.seen ?? everything, options.signal)
      : await loadSpineFile(db, service, table, input.file, named, options.signal)
  return { ...loaded, types: new Map(loaded.roles.map(({ name, type }) => [name, type === null ? 'text' : sqlTypeName(type)])) }
}

/** A query without ORDER BY has no order of its own. */
export function naturalOrder(input: SpineInput): SpineOrder {
  return 'sql' in input && !ordersItself(input.sql) ? 'values' : 'given'
}

interface SpineFacts {
  readonly rows: number
  readonly firstTime: number | null
  readonly lastTime: number | null
  readonly nullKeyRows: number
}

/** One pass over the table that counts and finds the first invalid row of each column. */
async function checkSpine(
  db: Database,
  table: string,
  time: string,
  roles: readonly SpineRole[],
  types: ReadonlyMap<string, string>,
  signal: AbortSignal | undefined,
): Promise<SpineFacts> {
  const column = (name: string): string => `s.${sqlIdentifier(name)}`
  const first = (condition: string): string => `(min(s.${sqlIdentifier(ordinalColumn)}) FILTER (WHERE ${condition}))::text`
  const within = (name: string): string =>
    `${column(name)} BETWEEN ${timeLiteral(-maxMicros, types.get(name))} AND ${timeLiteral(maxMicros, types.get(name))}`
  const faults: { readonly condition: string; readonly error: (row: string) => LockstepError }[] = []
  for (const { name, use, type } of roles) {
    if (name === time) {
      faults.push({ condition: `${column(name)} IS NULL`, error: (row) => invalid(`${row} has no time in "${name}"`) })
    } else if (use === 'request') {
      const error = (row: string): LockstepError =>
        new LockstepError('MISSING_REQUEST_VALUE', `${row} has no value for the request's "${name}"; add the value, or remove the row.`)
      faults.push({ condition: `${column(name)} IS NULL`, error })
    }
    if (type?.kind === 'timestamp') {
      faults.push({
        condition: `NOT ${within(name)}`,
        error: (row) => invalid(`${row} has a time in "${name}" that is infinite or outside the years 1684 to 2255`),
      })
    }
    if (use === 'other' && types.get(name) === 'numeric') {
      const asFloat = castTo({ kind: 'float64' }, column(name), 'numeric')
      const great = outsideOf({ kind: 'float64' }, column(name), 'numeric')
      faults.push({
        condition: `CASE WHEN ${great} THEN false ELSE (${asFloat})::text::numeric <> ${column(name)} END`,
        error: (row) =>
          new LockstepError(
            'SPINE_INVALID',
            `${row} has a number in "${name}" with more digits than a float64 holds. Cast the column in the query: text keeps all digits, float8 rounds.`,
          ),
      })
    }
    const outside = type === null ? null : outsideOf(type, column(name), types.get(name))
    if (type !== null && outside !== null) {
      faults.push({
        condition: outside,
        error: (row) => invalid(`${row} has a number in "${name}" that is outside the range of ${type.kind}`),
      })
    }
  }
  const keys = roles.filter((role) => role.use === 'key').map((role) => `${column(role.name)} IS NULL`)
  const micros = (aggregate: string): string =>
    `(extract(epoch FROM ${aggregate}(${castTo({ kind: 'timestamp' }, column(time), types.get(time))})) * 1000000)::text`
  const facts = [
    'count(*)::text',
    keys.length === 0 ? `'0'` : `(count(*) FILTER (WHERE ${keys.join(' OR ')}))::text`,
    micros('min'),
    micros('max'),
  ]
  const [row] = await db.query<{ facts: (string | null)[] }>(
    `SELECT ARRAY[${[...facts, ...faults.map(({ condition }) => first(condition))].join(', ')}] AS facts FROM ${table} s`,
    [],
    { signal },
  )
  const [rows, nullKeyRows, firstTime, lastTime, ...at] = row?.facts ?? []
  for (const [i, fault] of faults.entries()) {
    const ordinal = at[i] ?? null
    if (ordinal !== null) throw fault.error(await rowText(db, table, ordinal))
  }
  const number = (text: string | null | undefined): number | null => (text === null || text === undefined ? null : Math.round(Number(text)))
  return { rows: number(rows) ?? 0, nullKeyRows: number(nullKeyRows) ?? 0, firstTime: number(firstTime), lastTime: number(lastTime) }
}

/** A row for messages, by its number and its values: the number alone helps little where a query has no order. */
async function rowText(db: Database, table: string, ordinal: string): Promise<string> {
  const number = sqlIdentifier(ordinalColumn)
  // as text, which keeps all digits of a number
  const [row] = await db.query<{ values: string }>(
    `SELECT (to_jsonb(s) - '${ordinalColumn}')::text AS values FROM ${table} s WHERE s.${number} = $1`,
    [ordinal],
  )
  const text = row?.values ?? ''
  return `Row ${ordinal} of the spine (${cutText(text, 300)})`
}

/**
 * The condition under which a number cannot be cast to `type`; null where its own type, `actual`, has no such numbers.
 */
function outsideOf(type: ColumnType, number: string, actual: string | undefined): string | null {
  if (type.kind === 'int32' && actual === 'int8') return `${number} NOT BETWEEN -2147483648 AND 2147483647`
  const wide = actual === 'numeric' || (actual === 'float8' && type.kind === 'float32')
  if (!wide || (type.kind !== 'float32' && type.kind !== 'float64')) return null
  const great = beyondFloat(type.kind, number, actual)
  // PostgreSQL raises an error when a nonzero number would round to zero
  return actual === 'numeric' ? great : `(${great} OR abs(${number}) > 0 AND abs(${number}) <= 7.006492321624085e-46)`
}

function invalid(what: string): LockstepError {
  return new LockstepError('SPINE_INVALID', `${what}; correct the row, or remove it.`)
}
