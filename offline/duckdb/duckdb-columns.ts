import type { DuckDBDataChunk } from '@duckdb/node-api'
import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType, Value, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import type { DuckDb } from './open-duckdb.ts'

/** DuckDB's types of the columns of some files, by name. */
export type DuckDbTypes = ReadonlyMap<string, string>

/**
 * The SQL of the rows of Parquet files. What a name of a file or folder looks like, `a[1]` or `day=1`, says nothing.
 */
export function parquetSql(paths: readonly string[]): string {
  const names = paths.map((path) => sqlText(path.replaceAll(/[*?[]/g, '[$&]')))
  return `read_parquet([${names.join(', ')}], hive_partitioning = false)`
}

/** A column whose type differs among the files has none: DuckDB would cast it to the type of the first file. */
export async function describeFiles(db: DuckDb, paths: readonly string[]): Promise<DuckDbTypes> {
  const found = new Map<string, Set<string>>()
  for (const path of paths) {
    for (const [name, type] of await db.rows(`DESCRIBE SELECT * FROM ${parquetSql([path])}`)) {
      const types = found.get(String(name)) ?? new Set()
      found.set(String(name), types.add(String(type)))
    }
  }
  return new Map(
    [...found].map(([name, types]) => [name, types.size === 1 ? [...types].join() : `several types (${[...types].join(', ')})`]),
  )
}

const integers = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT', 'HUGEINT']
const times = ['DATE', 'TIMESTAMP', 'TIMESTAMP_S', 'TIMESTAMP_MS', 'TIMESTAMP_NS', 'TIMESTAMP WITH TIME ZONE']

/** The types that are read as a type. A number that is out of its range is an error. */
const accepted: Readonly<Record<ColumnType['kind'], (type: string) => boolean>> = {
  bool: (type) => type === 'BOOLEAN',
  int32: (type) => integers.includes(type),
  int64: (type) => integers.includes(type),
  float32: (type) => isFloat(type) || integers.includes(type),
  float64: (type) => isFloat(type) || integers.includes(type),
  string: (type) => type === 'VARCHAR' || type === 'UUID' || type.startsWith('ENUM'),
  timestamp: (type) => times.includes(type),
  vector: (type) => /^(FLOAT|DOUBLE)\[\d*\]$/.test(type),
}

function isFloat(type: string): boolean {
  return type === 'FLOAT' || type === 'DOUBLE' || type.startsWith('DECIMAL')
}

/**
 * `column` as an expression whose values `readColumn` reads: a time in epoch microseconds as a DOUBLE, which holds them
 * exactly, and +-Infinity.
 *
 * @param what names the files in messages
 * @throws LockstepError `SOURCE_TYPE_MISMATCH`, `SOURCE_MISSING`
 */
export function columnSql(types: DuckDbTypes, column: string, type: ColumnType, what: string, table = 's'): string {
  const found = types.get(column)
  if (found === undefined) {
    throw new LockstepError(
      'SOURCE_MISSING',
      `${what} have no column "${column}"; they have ${[...types.keys()].map((name) => `"${name}"`).join(', ')}. Add the column to the files.`,
      { details: { column } },
    )
  }
  const name = `${table}.${sqlIdentifier(column)}`
  if (!accepted[type.kind](found)) {
    throw new LockstepError(
      'SOURCE_TYPE_MISMATCH',
      `${what} have ${found} in their column "${column}", but ${typeName(type)} is needed. Convert the column.`,
      { details: { column, found } },
    )
  }
  switch (type.kind) {
    case 'timestamp':
      return timeSql(found === 'TIMESTAMP' ? name : `CAST(${name} AS ${found === 'TIMESTAMP WITH TIME ZONE' ? found : 'TIMESTAMP'})`)
    case 'vector':
      return `CAST(${name} AS FLOAT[])`
    default:
      return `CAST(${name} AS ${duckTypes[type.kind]})`
  }
}

const duckTypes = { bool: 'BOOLEAN', int32: 'INTEGER', int64: 'BIGINT', float32: 'FLOAT', float64: 'DOUBLE', string: 'VARCHAR' } as const

/** Files that Lockstep writes have no infinite times, and others may. */
function timeSql(time: string): string {
  return `CASE WHEN isfinite(${time}) THEN CAST(epoch_us(${time}) AS DOUBLE) WHEN ${time} IS NULL THEN NULL WHEN ${time} > TIMESTAMP '2000-01-01' THEN CAST('Infinity' AS DOUBLE) ELSE CAST('-Infinity' AS DOUBLE) END`
}

/**
 * An expression of `columnSql` as it is sent to `readColumn`. DuckDB's decoder of texts drops a byte order mark at
 * their beginning, so such a text gets a second one.
 */
export function sentSql(expression: string, { kind }: ValueType): string {
  if (kind !== 'string') return expression
  return `CASE WHEN starts_with(${expression}, chr(65279)) THEN chr(65279) || ${expression} ELSE ${expression} END`
}

/** The type of a column that nothing else decides; null: Lockstep has none for it. */
export function naturalDuckType(found: string): ColumnType | null {
  if (found === 'BOOLEAN') return { kind: 'bool' }
  if (['TINYINT', 'SMALLINT', 'INTEGER', 'UTINYINT', 'USMALLINT'].includes(found)) return { kind: 'int32' }
  if (found === 'BIGINT' || found === 'UINTEGER') return { kind: 'int64' }
  if (found === 'FLOAT') return { kind: 'float32' }
  if (found === 'DOUBLE') return { kind: 'float64' }
  if (accepted.string(found)) return { kind: 'string' }
  return times.includes(found) ? { kind: 'timestamp' } : null
}

/** The values of a column of a chunk, of an expression of `sentSql`. A time that is NaN is NULL. */
export function readColumn(chunk: DuckDBDataChunk, index: number, type: ValueType, name: string): (Value | null)[] {
  const vector = chunk.getColumnVector(index)
  const rows = chunk.rowCount
  const values = new Array<Value | null>(rows)
  // a loop for each kind: V8 then knows the class of the vector in it, and a value costs a third
  switch (type.kind) {
    case 'vector':
      for (let i = 0; i < rows; i++) {
        const item: unknown = vector.getItem(i)
        values[i] = item === null ? null : vectorOf(item, type.length, name)
      }
      break
    case 'timestamp':
      for (let i = 0; i < rows; i++) {
        const item = vector.getItem(i) as number | null
        values[i] = Number.isNaN(item) ? null : item
      }
      break
    case 'float64':
      for (let i = 0; i < rows; i++) values[i] = vector.getItem(i) as number | null
      break
    case 'int32':
      for (let i = 0; i < rows; i++) values[i] = vector.getItem(i) as number | null
      break
    default:
      for (let i = 0; i < rows; i++) values[i] = vector.getItem(i) as Value | null
  }
  return values
}

/**
 * Reads a column of times or of DOUBLE into `numbers`: half the cost of `readColumn`.
 *
 * @returns false where the column has a NULL, or has another type
 */
export function readNumbers(chunk: DuckDBDataChunk, index: number, { kind }: ValueType, numbers: Float64Array): boolean {
  if (kind !== 'timestamp' && kind !== 'float64') return false
  const [vector, rows] = [chunk.getColumnVector(index), chunk.rowCount]
  for (let i = 0; i < rows; i++) {
    const item = vector.getItem(i) as number | null
    if (item === null || (kind === 'timestamp' && Number.isNaN(item))) return false
    numbers[i] = item
  }
  return true
}

function vectorOf(item: unknown, length: number, name: string): Float32Array {
  const { items } = item as { readonly items: readonly (number | null)[] }
  if (items.length === length && !items.includes(null)) return Float32Array.from(items as readonly number[])
  const found = items.includes(null) ? 'an array with NULL' : `an array of ${items.length}`
  throw new LockstepError('INVALID_ROW', `The column "${name}" has ${found}, but a vector of ${length} is declared. Correct the row.`)
}
