import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { copyHeader, copyTrailer, tupleEnd } from '../../runtime/postgres/copy-pieces.ts'
import type { Database, Snapshot } from '../../runtime/postgres/database.ts'
import { isEmbedded } from '../../runtime/postgres/database.ts'
import { inParentheses, queryColumns, sqlState, timeTypes } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { openSpool } from '../spool.ts'
import { naturalType } from '../rows/sql-type.ts'
import { unlessAborted } from '../../runtime/async.ts'
import type { SpineOrder } from './query-order.ts'
import type { SpineNames, SpineRole } from './spine-columns.ts'
import { assignRoles } from './spine-columns.ts'
import type { SpineTarget } from './spine.ts'
import { ordinalColumn } from './spine.ts'

/**
 * Runs a query, in a read-only transaction, into a new unlogged table. The rows are numbered in the query's own order
 * if it has one, else by time and then by all other values.
 *
 * @returns also each column's type in the table
 * @throws LockstepError `SPINE_INVALID` with the database's message where the query fails, or naming a column of the
 * wrong type
 */
export async function loadSpineQuery(
  { db, service, table, signal }: SpineTarget,
  query: string,
  options: SpineNames & { readonly order: SpineOrder; readonly largeJoin: boolean },
): Promise<{ readonly time: string; readonly roles: readonly SpineRole[]; readonly types: ReadonlyMap<string, string> }> {
  const { order, largeJoin } = options
  const failed = (cause: unknown): unknown => {
    signal?.throwIfAborted()
    if (cause instanceof LockstepError) return cause
    const writes = sqlState(cause) === '25006'
    const advice = writes ? 'A spine query may only read: remove what writes' : 'Correct the query'
    // with this cause it would count as temporary, as of a database that takes no writes
    return new LockstepError('SPINE_INVALID', `The spine's query fails: ${messageOf(cause)}. ${advice}.`, writes ? {} : { cause })
  }
  const described = await queryColumns(db, query).catch((cause: unknown) => {
    throw failed(cause)
  })
  const columns = described.map((column) => ({ ...column, stored: storedTypes.includes(column.type) ? column.type : 'text' }))
  const found = columns.map(({ name, type }) => ({ name, type: naturalType(type) }))
  const assigned = assignRoles(service, found, options, "The spine's query")
  const roles = assigned.roles.map((role, i) => {
    const actual = columns[i]
    const type = role.type ?? (found[i] as { type: ColumnType }).type
    if (role.type !== null && actual !== undefined && !accepts[type.kind].includes(actual.type)) {
      throw new LockstepError(
        'SPINE_INVALID',
        `The spine's query gives "${role.name}" as ${actual.described}, but ${typeName(type)} is needed. Cast it in the query.`,
      )
    }
    return { ...role, type }
  })
  try {
    await fill(db, table, columns, spineSelect(query, columns, order === 'values' ? assigned.time : null), { signal, largeJoin })
  } catch (cause) {
    throw failed(cause)
  }
  return { time: assigned.time, roles, types: new Map(columns.map(({ name, stored }) => [name, stored])) }
}

interface QueryColumn {
  readonly name: string
  /** PostgreSQL's name of its type in the spine's table. */
  readonly stored: string
}

/**
 * The rows of a query, numbered.
 *
 * @param time the column that orders rows before all others; null: the query's own order
 */
function spineSelect(query: string, columns: readonly QueryColumn[], time: string | null): string {
  const values = columns.map(({ name, stored }) => `q.${sqlIdentifier(name)}::${stored} AS ${sqlIdentifier(name)}`)
  const names = columns.map(({ name }) => `v.${sqlIdentifier(name)}`)
  const first = columns.toSorted((a, b) => Number(b.name === time) - Number(a.name === time))
  const order = time === null ? '' : `ORDER BY ${first.flatMap(sortKeys).join(', ')}`
  return `SELECT ${[`row_number() OVER (${order})`, ...names].join(', ')} FROM (SELECT ${values.join(', ')} FROM ${inParentheses(query)} q) v`
}

/**
 * Rows tie on these keys only if they are identical to the last digit: PostgreSQL treats 0 and -0, 1.0 and 1.00 as
 * equal.
 */
function sortKeys({ name, stored }: QueryColumn): string[] {
  const column = `v.${sqlIdentifier(name)}`
  switch (stored) {
    case 'text':
    case 'bpchar':
      return [`${column} COLLATE "C"`]
    case 'float4':
    case 'float8':
      return [column, `${stored}send(${column})`]
    case 'numeric':
      return [column, `scale(${column})`]
    case '_float4':
    case '_float8':
      return [`${column}::text COLLATE "C"`]
    default:
      return [column]
  }
}

interface Reading {
  readonly signal: AbortSignal | undefined
  readonly largeJoin: boolean
}

/** Reads the query's rows and copies them unchanged into a new table. */
async function fill(db: Database, table: string, columns: readonly QueryColumn[], select: string, reading: Reading): Promise<void> {
  const { signal } = reading
  const names = [ordinalColumn, ...columns.map(({ name }) => name)].map(sqlIdentifier)
  const types = ['int8', ...columns.map(({ stored }) => stored)]
  await db.query(`CREATE UNLOGGED TABLE ${table} (${names.map((name, i) => `${name} ${types[i]}`).join(', ')})`)
  const copy = `COPY ${table} (${names.join(', ')}) FROM STDIN (FORMAT binary)`
  if (!isEmbedded(db)) {
    await db.snapshot((snapshot) => unlessAborted(signal, () => db.copyIn(copy, copyOf(snapshot, select, reading))))
    return
  }
  // an embedded database runs one statement at a time, so all rows are read before they are loaded
  const spool = await openSpool()
  try {
    await db.snapshot(async (snapshot) => {
      for await (const chunk of copyOf(snapshot, select, reading)) await spool.write(chunk)
    })
    await db.copyIn(copy, spool.read())
  } finally {
    await spool.close()
  }
}

/** The rows of a SELECT as the bytes of a binary COPY. */
async function* copyOf(snapshot: Snapshot, select: string, { signal, largeJoin }: Reading): AsyncGenerator<Uint8Array> {
  yield copyHeader
  for await (const { bytes, starts } of snapshot.tuples(select, { stable: true, largeJoin })) {
    signal?.throwIfAborted()
    yield Buffer.concat(starts.map((start) => bytes.subarray(start, tupleEnd(bytes, start))))
  }
  yield copyTrailer
}

/** The column types of a spine's table; a column of any other type is text. */
const storedTypes: readonly string[] = 'bool int2 int4 int8 float4 float8 numeric bpchar timestamp timestamptz date _float4 _float8'.split(
  ' ',
)

/** The types that are accepted for a type without a cast by the user. */
const accepts: Readonly<Record<ColumnType['kind'], readonly string[]>> = {
  bool: ['bool'],
  int32: ['int2', 'int4', 'int8'],
  int64: ['int2', 'int4', 'int8'],
  float32: ['float4', 'float8', 'int2', 'int4', 'numeric'],
  float64: ['float4', 'float8', 'int2', 'int4', 'int8', 'numeric'],
  string: ['text', 'varchar', 'bpchar', 'name', 'uuid', 'enum'],
  timestamp: timeTypes,
  vector: ['_float4', '_float8'],
}
