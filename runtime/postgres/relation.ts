import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { sqlIdentifier, sqlRelation, sqlText } from './sql.ts'

/** Anything that runs one SQL statement without parameters: a `Database` or a `Snapshot`. */
export interface Queryable {
  query<Row = Record<string, unknown>>(sql: string): Promise<Row[]>
}

/** PostgreSQL's types of a time. */
export const timeTypes: readonly string[] = ['timestamp', 'timestamptz', 'date']

export interface RelationColumn {
  readonly name: string
  /**
   * PostgreSQL's own short name, of the base type where it is a domain: `int4`, `float8`, `timestamptz`, `_float4` (an
   * array), or `enum`.
   */
  readonly type: string
  /** As a person writes it, for messages: `double precision`, `numeric(10,2)`. */
  readonly described: string
  readonly nullable: boolean
  readonly hasDefault: boolean
  /** Computed, or an identity that is always the database's: never written by anyone. */
  readonly generated: boolean
}

/** The schema of the tables that `apply` makes. */
export const ownedSchema = 'lockstep_source'

/** The quoted table behind a source, null where it is a query. */
export function sourceTableName(source: SourceSpec): string | null {
  switch (source.relation.kind) {
    case 'table':
      return sqlRelation(source.relation.table)
    case 'owned':
      return `${ownedSchema}.${sqlIdentifier(source.name)}`
    case 'sql':
      return null
    default:
      return source.relation satisfies never
  }
}

/** The source's relation as SQL, to stand after FROM with an alias. */
export function sourceRelation(source: SourceSpec): string {
  return sourceTableName(source) ?? (source.relation.kind === 'sql' ? inParentheses(source.relation.sql) : '')
}

/** A query as it can stand after FROM: a comment at its end must not hide the parenthesis. See `checkQuery`. */
export function inParentheses(query: string): string {
  return `(${trimQuery(query)}\n)`
}

/** A query without the semicolon that people end it with. */
export function trimQuery(sql: string): string {
  return sql.trim().replace(/[;\s]+$/, '')
}

/**
 * Has the database plan a query alone, which it refuses where it is wrong, is several statements, or would get out
 * of the parentheses in which it is to stand. Nothing is run.
 */
export async function checkQuery(db: Queryable, query: string): Promise<void> {
  // options in parentheses, so that a query that begins with ANALYZE is no option
  await db.query(`EXPLAIN (COSTS false) ${trimQuery(query)}`)
}

/**
 * Whether rows carry their identity and the transaction that wrote them. Only then it is known which rows arrived since
 * a moment.
 */
export function arrivalColumns(types: ReadonlyMap<string, string>): { readonly hasRow: boolean; readonly hasXid: boolean } {
  return { hasRow: types.get('_row') === 'int8', hasXid: types.get('_xid') === 'xid8' }
}

/**
 * The columns of a table or view, in order.
 *
 * @param relation quoted, as `sourceTableName` or `sqlRelation` give it
 * @returns null where there is no such table
 */
export async function tableColumns(db: Queryable, relation: string): Promise<RelationColumn[] | null> {
  return (await columnsOfTables(db, [relation])).get(relation) ?? null
}

/**
 * The columns of several tables and views, each in order, by relation. A relation that does not exist is not in it.
 *
 * @param relations quoted, as `sourceTableName` or `sqlRelation` give it
 */
export async function columnsOfTables(db: Queryable, relations: readonly string[]): Promise<ReadonlyMap<string, RelationColumn[]>> {
  const found = new Map<string, RelationColumn[]>()
  if (relations.length === 0) return found
  const rows = await db.query<Omit<RelationColumn, 'name'> & { readonly relation: string; readonly name: string | null }>(`
    SELECT c.relation, a.attname AS name,
           CASE WHEN b.typtype = 'e' THEN 'enum' ELSE b.typname END AS type,
           format_type(a.atttypid, a.atttypmod) AS described,
           NOT (a.attnotnull OR t.typnotnull) AS nullable,
           (a.atthasdef AND a.attgenerated = '') OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS "hasDefault",
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated
    FROM (SELECT relation, to_regclass(relation) AS oid FROM unnest(ARRAY[${[...new Set(relations)].map(sqlText).join(', ')}]) AS relation) c
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
    WHERE c.oid IS NOT NULL
    ORDER BY c.oid, a.attnum`)
  for (const { relation, name, ...column } of rows) {
    const columns = found.get(relation) ?? []
    found.set(relation, columns)
    if (name !== null) columns.push({ name, ...column })
  }
  return found
}

/**
 * The columns of a query, which is planned and never run: `LIMIT 0` joined to a single row gives one row of NULLs that
 * carry the names, and `pg_typeof` returns their types.
 */
export async function queryColumns(db: Queryable, query: string): Promise<RelationColumn[]> {
  await checkQuery(db, query)
  const from = `FROM (VALUES (1)) one LEFT JOIN (SELECT * FROM ${inParentheses(query)} _ LIMIT 0) q ON true`
  const [names] = await db.query(`SELECT q.* ${from}`)
  const columns = Object.keys(names ?? {})
  if (columns.length === 0) return []
  const oids = columns.map((name) => `pg_typeof(q.${sqlIdentifier(name)})::oid`)
  const types = await db.query<{ readonly type: string; readonly described: string }>(`
    SELECT CASE WHEN b.typtype = 'e' THEN 'enum' ELSE b.typname END AS type, format_type(t.oid, null) AS described
    FROM (SELECT ARRAY[${oids.join(', ')}] AS oids ${from}) found, unnest(found.oids) WITH ORDINALITY AS o (oid, position)
    JOIN pg_type t ON t.oid = o.oid
    JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
    ORDER BY o.position`)
  const plain = { nullable: true, hasDefault: false, generated: false }
  return columns.flatMap((name, i) => (types[i] === undefined ? [] : [{ name, ...types[i], ...plain }]))
}

export async function isView(db: Queryable, relation: string): Promise<boolean> {
  const rows = await db.query(`SELECT 1 FROM pg_class WHERE oid = to_regclass(${sqlText(relation)}) AND relkind IN ('v', 'm')`)
  return rows.length > 0
}

/**
 * PostgreSQL's five-character code of what a statement failed with, through any wrappers; empty where there is none.
 */
export function sqlState(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string' && /^(?=.*\d)[0-9A-Z]{5}$/.test(cause.code)) return cause.code
  }
  return ''
}
