import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Queryable } from '../../runtime/postgres/relation.ts'
import type { RelationColumn } from '../../runtime/postgres/relation.ts'
import { arrivalColumns, columnsOfTables, queryColumns, sourceRelation, sqlState } from '../../runtime/postgres/relation.ts'
import type { TableFacts } from './table-facts.ts'
import { readTableFacts } from './table-facts.ts'

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
  /** null for a query, and for a table that does not exist. */
  readonly facts: TableFacts | null
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

/** A source's description, or why the source cannot be read. */
export type Described = DescribedTable | LockstepError

/**
 * Describes sources, by name: all tables together, and each query (which is planned, not run). A source that cannot be
 * read has an error instead: `DEFINITIONS_INVALID` if its query or the name of its table is wrong, `SOURCE_MISSING` if
 * its query names a missing table or column (`exists` reports a missing table).
 *
 * @param create statements that create tables which the queries may read. They are rolled back
 * @throws LockstepError `BUSY` if another transaction creates or changes the tables of a source
 */
export async function describeSources(
  handle: Handle,
  sources: readonly SourceSpec[],
  create: readonly string[] = [],
): Promise<Map<string, Described>> {
  if (sources.length === 0) return new Map()
  if (handle.isTransaction) return await describeWithin(handle, sources, create, applyLockMs)
  return await handle.transaction().execute((transaction) => describeWithin(transaction, sources, create, planLockMs))
}

/** As `describeSources`, but throws the error of the source. */
export async function describeSource(handle: Handle, source: SourceSpec): Promise<DescribedTable> {
  const [described] = (await describeSources(handle, [source])).values()
  if (described === undefined) throw new LockstepError('INTERNAL', `The source "${source.name}" was not described; report this.`)
  if (described instanceof LockstepError) throw described
  return described
}

/** Describes sources in a read-only savepoint, where the tables of `create` exist. The transaction stays usable. */
async function describeWithin(
  transaction: Handle,
  sources: readonly SourceSpec[],
  create: readonly string[],
  lockTimeoutMs: number,
): Promise<Map<string, Described>> {
  await sql`savepoint describe_sources`.execute(transaction)
  try {
    await sql`select set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`.execute(transaction)
    try {
      for (const statement of create) await sql.raw(statement).execute(transaction)
    } catch (cause) {
      return new Map(sources.map((source) => [source.name, notCreated(source, lockTimeoutMs, cause)]))
    }
    await sql`set local transaction_read_only = on`.execute(transaction)
    return await describeEach(transaction, sources, lockTimeoutMs)
  } finally {
    // this also makes the transaction writable again, and resets its lock timeout
    await sql`rollback to savepoint describe_sources`.execute(transaction)
  }
}

async function describeEach(transaction: Handle, sources: readonly SourceSpec[], lockTimeoutMs: number): Promise<Map<string, Described>> {
  const described = new Map<string, Described>()
  await sql`savepoint describe_source`.execute(transaction)

  /** @returns why they cannot be read; null: they are described */
  async function failureOf(some: readonly SourceSpec[]): Promise<unknown> {
    try {
      for (const table of await describe(transaction, some)) described.set(table.source, table)
      return null
    } catch (cause) {
      if (!isOfSource(cause)) throw cause
      return cause
    } finally {
      // this also releases the locks on the tables of a query
      await sql`rollback to savepoint describe_source`.execute(transaction)
    }
  }

  const tables = sources.filter(({ relation }) => relation.kind !== 'sql')
  // each table alone says which source the error is of
  const areTablesDescribed = tables.length > 1 && (await failureOf(tables)) === null
  for (const source of areTablesDescribed ? sources.filter(({ relation }) => relation.kind === 'sql') : sources) {
    const cause = await failureOf([source])
    if (cause !== null) described.set(source.name, unreadable(source, lockTimeoutMs, cause))
  }
  return described
}

/** @param sources one query, or tables */
async function describe(handle: Handle, sources: readonly SourceSpec[]): Promise<DescribedTable[]> {
  const db: Queryable = { query: async <Row>(text: string) => (await sql.raw<Row>(text).execute(handle)).rows }
  const [first] = sources
  if (first?.relation.kind === 'sql') return [describedAs(first, await queryColumns(db, first.relation.sql), null)]
  const columns = await columnsOfTables(db, sources.map(sourceRelation))
  const facts = await readTableFacts(handle, [...columns.keys()])
  return sources.map((source) => {
    const relation = sourceRelation(source)
    return describedAs(source, columns.get(relation) ?? null, facts.get(relation) ?? null)
  })
}

function describedAs(source: SourceSpec, found: readonly RelationColumn[] | null, facts: TableFacts | null): DescribedTable {
  const { hasRow, hasXid } = arrivalColumns(new Map(found?.map(({ name, type }) => [name, type])))
  return {
    source: source.name,
    relation: sourceRelation(source),
    exists: found !== null,
    hasArrival: source.relation.kind !== 'sql' && hasRow && hasXid,
    columns: new Map(found?.map(({ name, type, described, ...rest }) => [name, { base: type, text: described, ...rest }])),
    facts,
  }
}

/** Whether it may be an error of the source: a wrong definition, or a lock on its tables. */
function isOfSource(cause: unknown): boolean {
  const state = sqlState(cause)
  return state === '55P03' || (!(cause instanceof LockstepError) && /^(0A|21|22|42|25006|08P01)/.test(state))
}

/** @throws LockstepError `BUSY` */
function unreadable(source: SourceSpec, lockTimeoutMs: number, cause: unknown): LockstepError {
  const state = sqlState(cause)
  if (state === '55P03') throw busy(source, lockTimeoutMs, cause)
  const missing = state === '42P01' || state === '42703'
  const [what, field] = source.relation.kind === 'sql' ? ['query', 'sql'] : ['table', 'table']
  return new LockstepError(
    missing ? 'SOURCE_MISSING' : 'DEFINITIONS_INVALID',
    `The ${what} of the source "${source.name}" cannot be read: ${messageOf(cause)}. Correct its "${field}".`,
    { cause, details: { source: source.name } },
  )
}

/** @throws LockstepError `BUSY` */
function notCreated(source: SourceSpec, lockTimeoutMs: number, cause: unknown): LockstepError {
  if (sqlState(cause) === '55P03') throw busy(source, lockTimeoutMs, cause)
  return new LockstepError(
    'SOURCE_MISSING',
    `The query of the source "${source.name}" reads a table that does not exist, and the tables that this file creates cannot be created to check it: ${messageOf(cause)}. ` +
      'Correct its "sql"; or, if it reads one of these tables, apply the file without this source first.',
    { cause, details: { source: source.name } },
  )
}

function busy({ name }: SourceSpec, lockTimeoutMs: number, cause: unknown): LockstepError {
  return new LockstepError(
    'BUSY',
    `The source "${name}" cannot be read: for ${lockTimeoutMs / 1000} s, another transaction has been creating or changing its tables; "lockstep apply" may be running. Try again when it has ended.`,
    { cause, details: { source: name } },
  )
}
