import { DuckDBInstance } from '@duckdb/node-api'
import type { ColumnType } from '../../../kernel/value-type.ts'
import { naturalType } from '../../../offline/sql-type.ts'
import { queryColumns } from '../../../runtime/relation.ts'
import type { Database } from '../../../runtime/database.ts'
import { sqlIdentifier, sqlText } from '../../../runtime/sql.ts'

/** Writes the rows of a query of PostgreSQL to a Parquet file, with DuckDB and by way of text, so that no digit is lost. */
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
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const types = columns.map(({ name, as }) => `${sqlIdentifier(name)} ${as === null ? 'FLOAT[]' : duckTypes[as.kind]}`)
    await connection.run(`CREATE TABLE t (${types.join(', ')})`)
    for (let from = 0; from < rows.length; from += 500) {
      const some = rows.slice(from, from + 500)
      const values = some.map((row) => `(${row.values.map((text, i) => literal(columns[i]?.as ?? null, text)).join(', ')})`)
      await connection.run(`INSERT INTO t VALUES ${values.join(', ')}`)
    }
    await connection.run(`COPY t TO ${sqlText(path)} (FORMAT parquet)`)
  } finally {
    connection.closeSync()
    instance.closeSync()
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

function literal(type: ColumnType | null, text: string | null): string {
  if (text === null) return 'NULL'
  if (type === null)
    return `[${text
      .slice(1, -1)
      .split(',')
      .map((each) => `CAST('${each}' AS FLOAT)`)
      .join(', ')}]`
  if (type.kind !== 'timestamp') return `CAST(${sqlText(text)} AS ${duckTypes[type.kind]})`
  return text.endsWith('infinity') ? `CAST('${text}' AS TIMESTAMP)` : `make_timestamp(CAST('${text}' AS BIGINT))`
}
