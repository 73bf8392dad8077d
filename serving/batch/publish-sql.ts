import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import type { BatchSpec } from './batch-spec.ts'
import { batchName, ordinalName } from './batch-spec.ts'
import type { TargetFacts } from './check-target.ts'

/** The rows of a batch that is complete, and the table for readers that they become part of. */
export interface PublishedRows extends Pick<BatchSpec, 'id' | 'key'> {
  readonly job: number
  /** The name of the table with the rows, in the schema `lockstep`. */
  readonly rowsName: string
  readonly schema: string
  readonly table: string
  readonly mode: BatchSpec['request']['mode']
  readonly columns: readonly string[]
  /** The column with the time of a row. */
  readonly time: string
}

/** The statements that show readers the rows, all at once. Afterwards the table with the rows is gone. */
export function publishSql(rows: PublishedRows, facts: TargetFacts): readonly string[] {
  return rows.mode === 'upsert' ? mergeSql(rows, facts) : attachSql(rows, facts)
}

/** Merges the newest row of each key. */
function mergeSql({ rowsName, schema, table, key, columns, time }: PublishedRows, { exists }: TargetFacts): readonly string[] {
  const [rows, target] = [`"lockstep"."${rowsName}"`, `${sqlIdentifier(schema)}.${sqlIdentifier(table)}`]
  const all = [...columns, batchName]
  const keys = columnList(key)
  const others = all.filter((name) => !key.includes(name)).map(sqlIdentifier)
  const newest = `ORDER BY ${keys}, ${sqlIdentifier(time)} DESC, ${sqlIdentifier(ordinalName)} DESC`
  return [
    ...(exists ? [] : [`CREATE TABLE ${target} (LIKE ${rows})`, `CREATE UNIQUE INDEX ON ${target} (${keys}) NULLS NOT DISTINCT`]),
    `INSERT INTO ${target} AS t (${columnList(all)}) SELECT DISTINCT ON (${keys}) ${columnList(all)} FROM ${rows} ${newest}
          ON CONFLICT (${keys}) DO UPDATE SET ${others.map((name) => `${name} = excluded.${name}`).join(', ')}
          WHERE t.${sqlIdentifier(time)} IS NULL OR excluded.${sqlIdentifier(time)} >= t.${sqlIdentifier(time)}`,
    `DROP TABLE ${rows}`,
  ]
}

/** Makes the rows a partition, in place of those that they replace. */
function attachSql({ rowsName, job, id, schema, table, mode }: PublishedRows, { exists, partitions }: TargetFacts): readonly string[] {
  const inSchema = (name: string): string => `${sqlIdentifier(schema)}.${sqlIdentifier(name)}`
  const [rows, target] = [`"lockstep"."${rowsName}"`, inSchema(table)]
  const partition = `${table.slice(0, 40)}_batch_${job}`
  const replaced = partitions.filter((each) => mode === 'replace' || each.batch === id)
  return [
    ...(exists ? [] : [`CREATE TABLE ${target} (LIKE ${rows}) PARTITION BY LIST (${sqlIdentifier(batchName)})`]),
    ...replaced.map((each) => `DROP TABLE ${each.name}`),
    `ALTER TABLE ${rows} SET SCHEMA ${sqlIdentifier(schema)}`,
    `ALTER TABLE ${inSchema(rowsName)} RENAME TO ${sqlIdentifier(partition)}`,
    `ALTER TABLE ${target} ATTACH PARTITION ${inSchema(partition)} FOR VALUES IN (${sqlText(id)})`,
  ]
}

export function columnList(names: readonly string[]): string {
  return names.map(sqlIdentifier).join(', ')
}
