import { LockstepError } from '../kernel/errors.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { Queryable } from './table.ts'
import { describeTable, sourceTable } from './table.ts'

/** What the database says about the relation behind a source. */
export interface SourceTable {
  /** What stands after FROM. */
  readonly relation: string
  /** PostgreSQL's short type name by column; empty for a source that is a query. */
  readonly types: ReadonlyMap<string, string>
  /** Whether rows carry their identity (`_row`). */
  readonly hasRow: boolean
  /** Whether rows carry the transaction that wrote them (`_xid`), so that a run can read what arrived since the last. */
  readonly hasXid: boolean
}

/** @throws LockstepError `SOURCE_MISSING` naming the source and the table or column that is not there */
export async function readSourceTable(db: Queryable, source: SourceSpec): Promise<SourceTable> {
  const table = sourceTable(source)
  if (table === null) return { relation: sourceRelation(source), types: new Map(), hasRow: false, hasXid: false }
  const types = new Map((await describeTable(db, table)).map((column) => [column.name, column.type]))
  const needed = [
    ...source.key.map((k) => k.column),
    source.eventTime,
    ...(source.known === null ? [] : [source.known]),
    ...source.columns.map((c) => c.name),
  ]
  const missing = needed.filter((name) => !types.has(name))
  if (missing.length > 0) {
    const names = missing.map((name) => `"${name}"`).join(', ')
    throw new LockstepError(
      'SOURCE_MISSING',
      `The table ${table} of source "${source.name}" has no column ${names}; add it to the table, or correct the definition.`,
    )
  }
  return { relation: table, types, hasRow: types.get('_row') === 'int8', hasXid: types.get('_xid') === 'xid8' }
}

/** The source's relation as SQL, to stand after FROM with an alias. */
export function sourceRelation(source: SourceSpec): string {
  return sourceTable(source) ?? (source.relation.kind === 'sql' ? `(${trimQuery(source.relation.sql)}\n)` : '')
}

/** A query as it can stand in parentheses: without the semicolon that people end it with. */
export function trimQuery(sql: string): string {
  return sql.trim().replace(/[;\s]+$/, '')
}
