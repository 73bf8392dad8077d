import { cutText } from '../../kernel/values/cut-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import { maxMicros } from '../../kernel/values/value-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { beyondFloat, castTo } from '../rows/sql-type.ts'
import { timeLiteral } from '../rows/stream-sql.ts'
import type { SpineRole } from './spine-columns.ts'
import { ordinalColumn } from './spine.ts'

/** The rows of a spine in their table. */
export interface StoredRows {
  readonly table: string
  /** Name of the time column. */
  readonly time: string
  readonly roles: readonly SpineRole[]
  /** PostgreSQL's name of the type of each column. */
  readonly types: ReadonlyMap<string, string>
}

export interface SpineFacts {
  readonly rows: number
  readonly firstTime: number | null
  readonly lastTime: number | null
  readonly nullKeyRows: number
}

/** A condition that no row may meet, over the table as `s`. */
interface Fault {
  readonly condition: string
  readonly error: (row: string) => LockstepError
}

/**
 * One pass over the table that counts and finds the first invalid row of each column.
 *
 * @throws LockstepError `SPINE_INVALID`, `MISSING_REQUEST_VALUE`
 */
export async function checkSpine(db: Database, spine: StoredRows, signal: AbortSignal | undefined): Promise<SpineFacts> {
  const { table, time, roles, types } = spine
  const faults = roles.flatMap((role) => faultsOf(role, types.get(role.name), role.name === time))
  const keys = roles.filter((role) => role.use === 'key').map((role) => `${columnOf(role.name)} IS NULL`)
  const micros = (aggregate: string): string =>
    `(extract(epoch FROM ${aggregate}(${castTo({ kind: 'timestamp' }, columnOf(time), types.get(time))})) * 1000000)::text`
  const facts = [
    'count(*)::text',
    keys.length === 0 ? `'0'` : `(count(*) FILTER (WHERE ${keys.join(' OR ')}))::text`,
    micros('min'),
    micros('max'),
  ]
  const firsts = faults.map(({ condition }) => `(min(${columnOf(ordinalColumn)}) FILTER (WHERE ${condition}))::text`)
  const [row] = await db.query<{ facts: (string | null)[] }>(
    `SELECT ARRAY[${[...facts, ...firsts].join(', ')}] AS facts FROM ${table} s`,
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

/** @param stored PostgreSQL's name of the column's type */
function faultsOf({ name, use, type }: SpineRole, stored: string | undefined, isTime: boolean): Fault[] {
  const column = columnOf(name)
  const faults: Fault[] = []
  if (isTime) {
    faults.push({ condition: `${column} IS NULL`, error: (row) => invalid(`${row} has no time in "${name}"`) })
  } else if (use === 'request') {
    const error = (row: string): LockstepError =>
      new LockstepError('MISSING_REQUEST_VALUE', `${row} has no value for the request's "${name}"; add the value, or remove the row.`)
    faults.push({ condition: `${column} IS NULL`, error })
  }
  if (type?.kind === 'timestamp') {
    faults.push({
      condition: `NOT ${column} BETWEEN ${timeLiteral(-maxMicros, stored)} AND ${timeLiteral(maxMicros, stored)}`,
      error: (row) => invalid(`${row} has a time in "${name}" that is infinite or outside the years 1684 to 2255`),
    })
  }
  if (use === 'other' && stored === 'numeric') {
    const asFloat = castTo({ kind: 'float64' }, column, 'numeric')
    const great = outsideOf({ kind: 'float64' }, column, 'numeric')
    faults.push({
      condition: `CASE WHEN ${great} THEN false ELSE (${asFloat})::text::numeric <> ${column} END`,
      error: (row) =>
        new LockstepError(
          'SPINE_INVALID',
          `${row} has a number in "${name}" with more digits than a float64 holds. Cast the column in the query: text keeps all digits, float8 rounds.`,
        ),
    })
  }
  const outside = type === null ? null : outsideOf(type, column, stored)
  if (type !== null && outside !== null) {
    faults.push({
      condition: outside,
      error: (row) => invalid(`${row} has a number in "${name}" that is outside the range of ${type.kind}`),
    })
  }
  return faults
}

function columnOf(name: string): string {
  return `s.${sqlIdentifier(name)}`
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
