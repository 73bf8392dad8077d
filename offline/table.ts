import { LockstepError } from '../kernel/errors.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import { sqlIdentifier, sqlRelation, sqlText } from '../runtime/sql.ts'

export interface TableColumn {
  readonly name: string
  /** PostgreSQL's own short name, of the base type where it is a domain: `int4`, `float8`, `timestamptz`, `_float4` (an array), or `enum`. */
  readonly type: string
  /** As a person writes it, for messages: `double precision`, `numeric(10,2)`. */
  readonly described: string
  readonly nullable: boolean
  readonly hasDefault: boolean
  /** Computed, or an identity that is always the database's: never written by anyone. */
  readonly generated: boolean
}

/** Anything that runs one SQL statement without parameters: a `Database` or a `Snapshot`. */
export interface Queryable {
  query<Row = Record<string, unknown>>(sql: string): Promise<Row[]>
}

/**
 * The columns of a table or view, in order.
 *
 * @param relation quoted, as `sourceRelation` or `sqlRelation` give it
 * @throws LockstepError `SOURCE_MISSING` naming the relation
 */
export async function describeTable(db: Queryable, relation: string): Promise<TableColumn[]> {
  const rows = await db.query<TableColumn>(describeTableSql(relation))
  if (rows.length === 0)
    throw new LockstepError('SOURCE_MISSING', `There is no table ${relation}; create it, or correct its name.`, { details: { relation } })
  return rows
}

export function describeTableSql(relation: string): string {
  return `
    SELECT a.attname AS name,
           CASE WHEN b.typtype = 'e' THEN 'enum' ELSE b.typname END AS type,
           format_type(a.atttypid, a.atttypmod) AS described,
           NOT (a.attnotnull OR t.typnotnull) AS nullable,
           (a.atthasdef AND a.attgenerated = '') OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS "hasDefault",
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
    WHERE a.attrelid = to_regclass(${sqlText(relation)}) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum`
}

export async function isView(db: Queryable, relation: string): Promise<boolean> {
  const rows = await db.query(`SELECT 1 FROM pg_class WHERE oid = to_regclass(${sqlText(relation)}) AND relkind IN ('v', 'm')`)
  return rows.length > 0
}

/** Whether the table has the columns `_row` and `_xid`, which tell the order and the transaction in which its rows arrived. */
export function keepsArrival(columns: readonly TableColumn[]): boolean {
  return columns.some((c) => c.name === '_row' && c.type === 'int8') && columns.some((c) => c.name === '_xid' && c.type === 'xid8')
}

/** The quoted table behind a source, null where it is a query. */
export function sourceTable(source: SourceSpec): string | null {
  switch (source.relation.kind) {
    case 'table':
      return sqlRelation(source.relation.table)
    case 'owned':
      return `lockstep_source.${sqlIdentifier(source.name)}`
    case 'sql':
      return null
    default:
      return source.relation satisfies never
  }
}
