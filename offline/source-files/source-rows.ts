import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import { isNumeric, typeName } from '../../kernel/values/value-type.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { toMicros, UnfitValue } from '../files/convert.ts'
import type { FileBatch, FileColumn, TabularFile } from '../files/tabular-file.ts'

/** The rows of a file that a source takes, with its columns. */
export interface SourceRows extends TabularFile {
  readonly seen: {
    /** Rows that were left out, because their event time is before `fromMicros`. */
    older: number
    /** The least and the greatest event time of the others, epoch microseconds; null: there are none. */
    minEvent: number | null
    maxEvent: number | null
  }
}

/**
 * A Parquet file as a source takes it: the declared columns alone, those of Hive's folders (`day=2026-03-01/`)
 * included, and the rows from `fromMicros` on.
 *
 * @param fromMicros epoch microseconds; null: all rows
 * @throws LockstepError `SOURCE_TYPE_MISMATCH` naming file, column and both types
 */
export function sourceRows(source: SourceSpec, file: TabularFile, fromMicros: number | null): SourceRows {
  const declared = declaredTypes(source)
  const partitions = hivePartitions(file.path)
  const columns: FileColumn[] = []
  for (const [name, type] of declared) {
    const found = file.columns.find((column) => column.name === name)
    if (found !== undefined) columns.push(checkType(source, file, found, type))
    else if (partitions.has(name)) columns.push({ name, type: { kind: 'string' }, described: 'a folder name' })
  }
  const seen: SourceRows['seen'] = { older: 0, minEvent: null, maxEvent: null }
  const inFile = new Set(file.columns.map(({ name }) => name))
  const { eventTime } = source

  async function* batches(names: readonly string[]): AsyncGenerator<FileBatch> {
    const read = names.filter((name) => inFile.has(name))
    const event = { at: names.indexOf(eventTime), column: columns.find(({ name }) => name === eventTime) }
    const oldest = fromMicros === null || !inFile.has(eventTime) ? undefined : { column: eventTime, micros: fromMicros }
    let next = 1
    for await (const batch of file.batches(read, oldest)) {
      // row groups between two batches were left out by their statistics
      seen.older += batch.firstRow - next
      next = batch.firstRow + batch.rows
      const data = names.map((name): ArrayLike<unknown> => {
        const at = read.indexOf(name)
        return at < 0 ? new Array<unknown>(batch.rows).fill(partitions.get(name) ?? null) : (batch.columns[at] as ArrayLike<unknown>)
      })
      yield* chosen(batch, data, event)
    }
    seen.older += (file.rows ?? next - 1) - (next - 1)
  }

  function* chosen(
    { firstRow, rows }: FileBatch,
    data: readonly ArrayLike<unknown>[],
    { at, column }: { readonly at: number; readonly column: FileColumn | undefined },
  ): Generator<FileBatch> {
    const kept: number[] = []
    for (let row = 0; row < rows; row++) {
      const micros = column === undefined ? null : timeOf(data[at]?.[row], column)
      if (micros !== null && fromMicros !== null && micros < fromMicros) continue
      kept.push(row)
      if (micros === null) continue
      if (seen.minEvent === null || micros < seen.minEvent) seen.minEvent = micros
      if (seen.maxEvent === null || micros > seen.maxEvent) seen.maxEvent = micros
    }
    seen.older += rows - kept.length
    if (kept.length === rows) {
      yield { firstRow, rows, columns: data }
    } else if (kept.length > 0) {
      const columns = data.map((values) => kept.map((row) => values[row]))
      yield { firstRow, rows: kept.length, rowNumbers: kept.map((row) => firstRow + row), columns }
    }
  }

  return { ...file, columns, batches, seen }
}

/** The columns that the source reads; null where the source does not say the type, as of a key. */
function declaredTypes({ key, eventTime, known, columns }: SourceSpec): Map<string, ColumnType | null> {
  const types = new Map<string, ColumnType | null>(key.map(({ column }) => [column, null]))
  for (const { name, type } of columns) types.set(name, type)
  types.set(eventTime, { kind: 'timestamp' })
  if (known !== null) types.set(known, { kind: 'timestamp' })
  return types
}

/** The columns that the folders of a path state, as in `day=2026-03-01/country=CH/`. Hive writes a null as below. */
function hivePartitions(path: string): Map<string, string | null> {
  const folders = path.split('/').slice(0, -1)
  return new Map(
    folders.flatMap((folder): [string, string | null][] => {
      const [, name, value] = /^([^=]+)=(.*)$/s.exec(folder) ?? []
      if (name === undefined || value === undefined) return []
      return [[decoded(name), value === '__HIVE_DEFAULT_PARTITION__' ? null : decoded(value)]]
    }),
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function checkType(source: SourceSpec, { path }: TabularFile, column: FileColumn, declared: ColumnType | null): FileColumn {
  // a list has no type of its own here: its numbers and its length are checked when rows are written
  const isList = declared?.kind === 'vector' && column.type === null
  if (declared === null || isList || column.empty === true || (column.type !== null && familyOf(column.type) === familyOf(declared)))
    return column
  throw new LockstepError(
    'SOURCE_TYPE_MISMATCH',
    `The column "${column.name}" of "${path}" is ${column.described}, but the source "${source.name}" declares it as ${typeName(declared)}. Write the file with that type, or correct the source.`,
    { details: { path, column: column.name, found: column.described, declared: typeName(declared) } },
  )
}

function familyOf(type: ColumnType): string {
  return isNumeric(type) ? 'number' : type.kind
}

/** null: it is none, which the encoder of the rows reports with its place. */
function timeOf(value: unknown, column: FileColumn): number | null {
  if (typeof value === 'number') return value
  if (value === null || value === undefined) return null
  try {
    return toMicros(value, column)
  } catch (error) {
    if (error instanceof UnfitValue) return null
    throw error
  }
}
