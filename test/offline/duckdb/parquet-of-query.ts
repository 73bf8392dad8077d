import { DuckDBInstance } from '@duckdb/node-api'
import type { ColumnType } from '../../../kernel/values/value-type.ts'
import { naturalType } from '../../../offline/rows/sql-type.ts'
import { queryColumns } from '../../../runtime/postgres/relation.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { sqlIdentifier, sqlText } from '../../../runtime/postgres/sql.ts'

/** One for all calls, because opening one takes longer than most calls. */
let opened: Promise<DuckDBInstance> | undefined

/**
 * Writes the rows of a query of PostgreSQL to a Parquet file, with DuckDB and by way of text, so that no digit is lost.
 */
export async function parquetOfQuery(db: Database, query: string, path: string): Promise<void> {
  const columns = (await queryColumns(db, query)).map(({ name, type }) => ({
    name,
    type,
    as: type === '_float4' ? null : naturalType(type),
  }))
  const texts = columns.map(({ name, as }) => textOf(as, `q.${sqlIdentifier(name)}`))
  const rows = await db.query<{ values: readonly (string | null)[] }>(
    `SELECT ARRAY[${texts.join(', ')}]::text[] AS values FROM (${query}) q`,
  )
  const connection = await (await (opened ??= DuckDBInstance.create(':memory:'))).connect()
  try {
    const types = columns.map(({ name, as }) => `${sqlIdentifier(name)} ${as === null ? 'FLOAT[]' : duckTypes[as.kind]}`)
    await connection.run(`CREATE TEMP TABLE t (${types.join(', ')})`)
    const values = columns.map(({ as }, i) => valueOf(as, `r->>${i}`))
    // as JSON: literals take DuckDB ten times as long to parse
    const json = JSON.stringify(rows.map((row) => row.values))
    await connection.run(`INSERT INTO t SELECT ${values.join(', ')} FROM (SELECT unnest(CAST($1 AS JSON[])) AS r)`, [json])
    await connection.run(`COPY t TO ${sqlText(path)} (FORMAT parquet)`)
  } finally {
    connection.closeSync()
  }
}

const duckTypes: Readonly<Record<ColumnType['kind'], string>> = {
  bool: 'BOOLEAN',
  int32: 'INTEGER',
  int64: 'BIGINT',
  float32: 'FLOAT',
  float64: 'DOUBLE',
  string: 'VARCHAR',
  timestamp: 'TIMESTAMP',
  vector: 'FLOAT[]',
}

function textOf(type: ColumnType | null, column: string): string {
  if (type?.kind !== 'timestamp') return `${column}::text`
  const micros = `(extract(epoch FROM ${column}) * 1000000)::int8::text`
  return `CASE WHEN isfinite(${column}) THEN ${micros} WHEN ${column} > '2000-01-01' THEN 'infinity' WHEN ${column} IS NOT NULL THEN '-infinity' END`
}

/** @param text the value as PostgreSQL writes it, in DuckDB's SQL */
function valueOf(type: ColumnType | null, text: string): string {
  if (type === null) return `CAST(translate(${text}, '{}', '[]') AS FLOAT[])`
  if (type.kind !== 'timestamp') return `CAST(${text} AS ${duckTypes[type.kind]})`
  return `CASE WHEN ${text} LIKE '%infinity' THEN CAST(${text} AS TIMESTAMP) ELSE make_timestamp(CAST(${text} AS BIGINT)) END`
}
