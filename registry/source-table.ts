import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import { sqlIdentifier, sqlRelation } from '../runtime/sql.ts'

/** The schema of the tables that `apply` makes. */
export const ownedSchema = 'lockstep_source'

/** What the database says about a source. */
export interface SourceTable {
  readonly source: string
  /** What stands behind FROM: a quoted table name, or a query in parentheses. */
  readonly relation: string
  readonly exists: boolean
  /** Whether arrival can be scanned: the table has `_row` and `_xid`. */
  readonly hasArrival: boolean
  readonly columns: ReadonlyMap<string, TableColumn>
}

export interface TableColumn {
  /** PostgreSQL's own name of the base type: `int4`, `timestamptz`, `_float4`; `enum` for every enumeration. */
  readonly base: string
  /** As users write it: `integer`, `character varying(3)`. */
  readonly text: string
}

type Handle = Kysely<LockstepTables>

/**
 * Reads the columns of a source's table, or of its query (which is described, not run).
 *
 * @throws LockstepError `DEFINITIONS_INVALID` where the query of a `sql` source or the name of a table is wrong, `SOURCE_MISSING` where the query names
 * a missing table or column (a missing table is told by `exists`)
 */
export async function describeSource(handle: Handle, source: SourceSpec): Promise<SourceTable> {
  const relation = sourceRelation(source)
  const columns =
    source.relation.kind === 'sql'
      ? await queryColumns(handle, source, relation)
      : await guarded(handle, source, () => tableColumns(handle, relation))
  return {
    source: source.name,
    relation,
    exists: columns !== null,
    hasArrival: source.relation.kind !== 'sql' && columns?.get('_row') !== undefined && columns.get('_xid')?.base === 'xid8',
    columns: columns ?? new Map(),
  }
}

export function sourceRelation(source: SourceSpec): string {
  switch (source.relation.kind) {
    case 'table':
      return sqlRelation(source.relation.table)
    case 'owned':
      return `${ownedSchema}.${sqlIdentifier(source.name)}`
    case 'sql':
      return `(${source.relation.sql.trim().replace(/[;\s]+$/, '')}\n)`
    default:
      return source.relation satisfies never
  }
}

const baseType = sql.raw(`case when b.typtype = 'e' then 'enum' else b.typname end as base`)

/** null where there is no such table. */
async function tableColumns(handle: Handle, relation: string): Promise<Map<string, TableColumn> | null> {
  const { rows } = await sql<{ name: string | null } & TableColumn>`
    select a.attname as name, ${baseType}, format_type(a.atttypid, a.atttypmod) as text
    from (select to_regclass(${relation}) as oid) c
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid
    left join pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
    where c.oid is not null
    order by a.attnum`.execute(handle)
  if (rows.length === 0) return null
  return new Map(rows.flatMap(({ name, base, text }) => (name === null ? [] : [[name, { base, text }]])))
}

/**
 * `select … limit 0` joined to a single row gives one row of NULLs that carry the names, and `pg_typeof` tells their types: the query is planned, never run.
 */
async function queryColumns(handle: Handle, source: SourceSpec, relation: string): Promise<Map<string, TableColumn>> {
  const from = `from (values (1)) one left join (select * from ${relation} _ limit 0) q on true`
  return await guarded(handle, source, async () => {
    const names = await sql.raw<Record<string, unknown>>(`select q.* ${from}`).execute(handle)
    const columns = Object.keys(names.rows[0] ?? {})
    if (columns.length === 0) return new Map()
    const types = columns.map((name) => `pg_typeof(q.${sqlIdentifier(name)})::oid`)
    const { rows } = await sql<TableColumn>`
      select ${baseType}, format_type(t.oid, null) as text
      from (select array[${sql.raw(types.join(', '))}] as oids ${sql.raw(from)}) found, unnest(found.oids) with ordinality as o(oid, position)
      join pg_type t on t.oid = o.oid
      join pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
      order by o.position`.execute(handle)
    return new Map(columns.flatMap((name, i) => (rows[i] === undefined ? [] : [[name, rows[i]]])))
  })
}

/** Runs `work` so that a query refused by the database leaves an open transaction usable, and tells the refusal as the source's. */
async function guarded<T>(handle: Handle, source: SourceSpec, work: () => Promise<T>): Promise<T> {
  if (handle.isTransaction) await sql`savepoint describe_source`.execute(handle)
  try {
    return await work()
  } catch (cause) {
    const state = sqlState(cause)
    if (!/^(0A|21|22|42)/.test(state)) throw cause
    if (handle.isTransaction) await sql`rollback to savepoint describe_source`.execute(handle)
    const missing = state === '42P01' || state === '42703'
    const [what, field] = source.relation.kind === 'sql' ? ['query', 'sql'] : ['table', 'table']
    throw new LockstepError(
      missing ? 'SOURCE_MISSING' : 'DEFINITIONS_INVALID',
      `The ${what} of the source "${source.name}" cannot be read: ${messageOf(cause)}. Correct its "${field}".`,
      { cause, details: { source: source.name } },
    )
  }
}

function sqlState(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' && error.code.length === 5
    ? error.code
    : ''
}
