import { LockstepError } from '../kernel/errors.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import { sqlIdentifier, sqlRelation, sqlText } from '../runtime/sql.ts'

/** What the database says about the relation behind a source. */
export interface SourceTable {
  /** What stands after FROM. */
  readonly relation: string
  /** `pg_type.typname` by column; empty for a source that is a query. */
  readonly types: ReadonlyMap<string, string>
  /** Whether rows carry their identity (`_row`). */
  readonly hasRow: boolean
  /** Whether rows carry the transaction that wrote them (`_xid`), so that a run can read what arrived since the last. */
  readonly hasXid: boolean
}

export type Query = <Row>(sql: string) => Promise<Row[]>

/** @throws LockstepError `SOURCE_MISSING` naming the source and the table or column that is not there */
export async function readSourceTable(query: Query, source: SourceSpec): Promise<SourceTable> {
  const relation = sourceRelation(source)
  if (source.relation.kind === 'sql') return { relation, types: new Map(), hasRow: false, hasXid: false }
  const types = await columnTypes(query, relation)
  if (types.size === 0) {
    throw new LockstepError('SOURCE_MISSING', `The table ${relation} of source "${source.name}" does not exist; ${remedy(source)}.`)
  }
  const needed = [...source.key.map((k) => k.column), source.eventTime, ...(source.known === null ? [] : [source.known]), ...source.columns.map((c) => c.name)]
  const missing = needed.filter((name) => !types.has(name))
  if (missing.length > 0) {
    const names = missing.map((name) => `"${name}"`).join(', ')
    throw new LockstepError('SOURCE_MISSING', `The table ${relation} of source "${source.name}" has no column ${names}; ${remedy(source)}.`)
  }
  return { relation, types, hasRow: types.get('_row') === 'int8', hasXid: types.get('_xid') === 'xid8' }
}

/** The source's relation as SQL, to stand after FROM with an alias. */
export function sourceRelation(source: SourceSpec): string {
  switch (source.relation.kind) {
    case 'table':
      return sqlRelation(source.relation.table)
    case 'owned':
      return `"lockstep_source".${sqlIdentifier(source.name)}`
    case 'sql':
      return `(${trimQuery(source.relation.sql)}\n)`
    default:
      return source.relation satisfies never
  }
}

/** A query as it can stand in parentheses: without the semicolon that people end it with. */
export function trimQuery(sql: string): string {
  return sql.trim().replace(/;+\s*$/, '')
}

/** `pg_type.typname` by column name, in the table's order; empty where there is no such table. */
export async function columnTypes(query: Query, relation: string): Promise<Map<string, string>> {
  const rows = await query<{ name: string; type: string }>(
    `SELECT a.attname::text AS name, t.typname::text AS type FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid ` +
      `WHERE a.attrelid = to_regclass(${sqlText(relation)}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
  )
  return new Map(rows.map((row) => [row.name, row.type]))
}

function remedy(source: SourceSpec): string {
  return source.relation.kind === 'owned' ? 'run "lockstep apply" on its definitions' : 'create it, or correct the definition'
}
