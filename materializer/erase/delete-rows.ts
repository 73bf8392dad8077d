import { sql } from 'kysely'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { Column, KeyType, Scalar, Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { sourceKey } from '../../offline/rows/source-stream.ts'
import type { Carrier } from './carriers.ts'

export interface DeletedRows {
  readonly rows: number
  /** The entities whose states hold the rows, by view. */
  readonly touched: ReadonlyMap<ViewPlan, ReadonlySet<EntityKey>>
}

/**
 * Deletes the rows of one entity from a table of Lockstep's, in one statement.
 *
 * @param readers the views that read the table
 */
export async function deleteRows(
  { kysely }: Pick<Database, 'kysely'>,
  carrier: Carrier,
  key: readonly Column<KeyType>[],
  values: readonly Value[],
  readers: readonly ViewPlan[],
): Promise<DeletedRows> {
  return deleteWhere({ kysely }, carrier.relation, isOfEntity(carrier, key, values), readers)
}

/** Deletes the rows `s` of a table for which a condition holds. */
export function deleteWhere(
  db: Pick<Database, 'kysely'>,
  relation: string,
  condition: string,
  readers: readonly ViewPlan[],
): Promise<DeletedRows> {
  return groupByEntity(db, (columns) => `DELETE FROM ${relation} s WHERE ${condition} RETURNING ${columns}`, readers)
}

/** Counts the rows that `deleteWhere` would delete. */
export function findWhere(
  db: Pick<Database, 'kysely'>,
  relation: string,
  condition: string,
  readers: readonly ViewPlan[],
): Promise<DeletedRows> {
  return groupByEntity(db, (columns) => `SELECT ${columns} FROM ${relation} s WHERE ${condition}`, readers)
}

async function groupByEntity(
  { kysely }: Pick<Database, 'kysely'>,
  statement: (columns: string) => string,
  readers: readonly ViewPlan[],
): Promise<DeletedRows> {
  const outputs = readers.map((plan) => sourceKey(plan))
  const columns = new Map(outputs.flat().map((column) => [column.name, column]))
  const names = [...columns.keys()]
  const returned = names.map((name, i) => `${asText(columns.get(name) as Column<KeyType>)} AS c${i}`)
  const grouped = names.map((_, i) => `c${i}`)
  const { rows } = await sql
    .raw<Record<string, string | null>>(
      `WITH gone AS (${statement([...returned, '1 AS one'].join(', '))})
      SELECT ${[...grouped, 'count(*)::text AS n'].join(', ')} FROM gone ${grouped.length === 0 ? '' : `GROUP BY ${grouped.join(', ')}`}`,
    )
    .execute(kysely)
  const touched = new Map<ViewPlan, Set<EntityKey>>()
  let deleted = 0
  for (const row of rows) {
    deleted += Number(row['n'])
    if (row['n'] === '0') continue
    for (const [r, plan] of readers.entries()) {
      const parts = (outputs[r] ?? []).map((column) => fromText(column.type, row[`c${names.indexOf(column.name)}`] ?? null))
      if (parts.includes(null)) continue // the row belongs to no entity
      const keys = touched.get(plan) ?? new Set()
      touched.set(plan, keys.add(encodeKey(plan.key, parts)))
    }
  }
  return { rows: deleted, touched }
}

/** The condition under which a row `s` of a relation is of one entity. */
export function isOfEntity({ columns }: Carrier, key: readonly Column<KeyType>[], values: readonly Value[]): string {
  return columns
    .map((column, i) => `s.${sqlIdentifier(column)} = ${literal((key[i] as Column<KeyType>).type, values[i] as Value)}`)
    .join(' AND ')
}

/** How many rows `s` of a user's relation meet a condition. */
export async function countRows({ kysely }: Pick<Database, 'kysely'>, relation: string, condition: string): Promise<number> {
  // a user's query may only read; rolling back to the savepoint lets the transaction write again
  await sql`savepoint count_rows`.execute(kysely)
  await sql`set local transaction_read_only = on`.execute(kysely)
  const { rows } = await sql.raw<{ n: string }>(`SELECT count(*)::text AS n FROM ${relation} s WHERE ${condition}`).execute(kysely)
  await sql`rollback to savepoint count_rows`.execute(kysely)
  return Number(rows[0]?.n)
}

function asText({ name, type }: Column<KeyType>): string {
  const column = sqlIdentifier(name)
  return type.kind === 'timestamp' ? `(extract(epoch FROM ${column}) * 1000000)::numeric(20)::text` : `${column}::text`
}

function fromText(type: KeyType, text: string | null): Value | null {
  if (text === null) return null
  switch (type.kind) {
    case 'string':
      return text
    case 'bool':
      return text === 'true'
    case 'int64':
      return BigInt(text)
    case 'int32':
    case 'timestamp':
      return Number(text)
    default:
      return type.kind satisfies never
  }
}

/** The literal has no type, so the column decides: it may have any type that the key can be read from. */
function literal(type: KeyType, value: Value): string {
  if (type.kind === 'string') return sqlText(value as string)
  if (type.kind === 'timestamp') return `'${formatTimestamp(value as number)}'`
  return `'${(value as Scalar).toString()}'`
}
