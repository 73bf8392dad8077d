import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Queryable } from '../runtime/relation.ts'
import { arrivalColumns, queryColumns, sourceRelation, sqlState, tableColumns } from '../runtime/relation.ts'

/** The database's description of a source. */
export interface DescribedTable {
  readonly source: string
  /** The text after FROM: a quoted table name, or a query in parentheses. */
  readonly relation: string
  /** false for a query, too, if it reads tables that `apply` creates with it. */
  readonly exists: boolean
  /** Whether arrival can be scanned: the table has `_row` (a bigint) and `_xid` (an xid8). */
  readonly hasArrival: boolean
  readonly columns: ReadonlyMap<string, TableColumn>
}

export interface TableColumn {
  /** PostgreSQL's own name of the base type: `int4`, `timestamptz`, `_float4`; `enum` for every enumeration. */
  readonly base: string
  /** As users write it: `integer`, `character varying(3)`. */
  readonly text: string
  readonly nullable: boolean
  readonly hasDefault: boolean
  /** Computed, or an identity that is always the database's: never written by anyone. */
  readonly generated: boolean
}

type Handle = Kysely<LockstepTables>

/** How long a plan waits for tables that another transaction creates or changes, and how long an apply does. */
const planLockMs = 2_000
const applyLockMs = 10_000

/**
 * Reads the columns of a source's table, or of its query (which is described, not run).
 *
 * @param create statements that create tables which the query may read. They are rolled back
 * @throws LockstepError `DEFINITIONS_INVALID` if the query of a `sql` source or the name of a table is wrong,
 *   `SOURCE_MISSING` if the query names a missing table or column (`exists` reports a missing table)
 */
export async function describeSource(handle: Handle, source: SourceSpec, create: readonly string[] = []): Promise<DescribedTable> {
  const { relation } = source
  const found = await readOnly(handle, source, create, (reading) => {
    const db: Queryable = { query: async <Row>(text: string) => (await sql.raw<Row>(text).execute(reading)).rows }
    return relation.kind === 'sql' ? queryColumns(db, relation.sql) : tableColumns(db, sourceRelation(source))
  })
  const { hasRow, hasXid } = arrivalColumns(new Map(found?.map(({ name, type }) => [name, type])))
  return {
    source: source.name,
    relation: sourceRelation(source),
    exists: found !== null,
    hasArrival: relation.kind !== 'sql' && hasRow && hasXid,
    columns: new Map(found?.map(({ name, type, described, ...rest }) => [name, { base: type, text: described, ...rest }])),
  }
}

/**
 * Runs `work` in a read-only savepoint, where the tables of `create` exist. The transaction stays usable. Errors of the
 * database are reported as errors of the source.
 */
async function readOnly<T>(
  handle: Handle,
  source: SourceSpec,
  create: readonly string[],
  work: (handle: Handle) => Promise<T>,
  lockTimeoutMs = applyLockMs,
): Promise<T> {
  if (!handle.isTransaction)
    return await handle.transaction().execute((transaction) => readOnly(transaction, source, create, work, planLockMs))
  await sql`savepoint describe_source`.execute(handle)
  try {
    await sql`select set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`.execute(handle)
    await createTables(handle, source, create)
    await sql`set local transaction_read_only = on`.execute(handle)
    return await work(handle)
  } catch (cause) {
    const state = sqlState(cause)
    if (state === '55P03') throw busy(source, lockTimeoutMs, cause)
    if (cause instanceof LockstepError || !/^(0A|21|22|42|25006|08P01)/.test(state)) throw cause
    const missing = state === '42P01' || state === '42703'
    const [what, field] = source.relation.kind === 'sql' ? ['query', 'sql'] : ['table', 'table']
    throw new LockstepError(
      missing ? 'SOURCE_MISSING' : 'DEFINITIONS_INVALID',
      `The ${what} of the source "${source.name}" cannot be read: ${messageOf(cause)}. Correct its "${field}".`,
      { cause, details: { source: source.name } },
    )
  } finally {
    // this also makes the transaction writable again, and resets its lock timeout
    await sql`rollback to savepoint describe_source`.execute(handle)
  }
}

async function createTables(handle: Handle, { name }: SourceSpec, create: readonly string[]): Promise<void> {
  try {
    for (const statement of create) await sql.raw(statement).execute(handle)
  } catch (cause) {
    if (sqlState(cause) === '55P03') throw cause
    throw new LockstepError(
      'SOURCE_MISSING',
      `The query of the source "${name}" reads a table that does not exist, and the tables that this file creates cannot be created to check it: ${messageOf(cause)}. ` +
        'Correct its "sql"; or, if it reads one of these tables, apply the file without this source first.',
      { cause, details: { source: name } },
    )
  }
}

function busy({ name }: SourceSpec, lockTimeoutMs: number, cause: unknown): LockstepError {
  return new LockstepError(
    'BUSY',
    `The source "${name}" cannot be read: for ${lockTimeoutMs / 1000} s, another transaction has been creating or changing its tables; "lockstep apply" may be running. Try again when it has ended.`,
    { cause, details: { source: name } },
  )
}
