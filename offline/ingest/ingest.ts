import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { AroundCopy, Database } from '../../runtime/postgres/database.ts'
import type { RelationColumn } from '../../runtime/postgres/relation.ts'
import { eventIdColumn, ownedColumnNames } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { isView, sourceTableName } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { CopyColumn, CopyEncoder } from '../rows/copy-encoder.ts'
import { createCopyEncoder } from '../rows/copy-encoder.ts'
import { openTabularFile } from '../files/tabular-file.ts'
import type { FileColumn, TabularFile } from '../files/tabular-file.ts'
import { describeTable } from '../rows/source-table.ts'

export interface IngestOptions {
  /** Loads only every n-th row of the file: its first, its (n + 1)-th and so on. */
  readonly every?: number
  /** Called about ten times a second, and once at the end. */
  readonly onProgress?: (progress: IngestProgress) => void
  readonly signal?: AbortSignal
  /** Columns in which no row may be without a value. */
  readonly present?: readonly string[]
  /** The file, if it is open. Absent: that of the path. */
  readonly file?: TabularFile
  /** Whether the table is analyzed for the planner of the database. Absent: true. */
  readonly analyze?: boolean
  /** Other work in the transaction of the load. Called once the columns of the file are checked. Absent: none. */
  readonly around?: (target: IngestTarget) => AroundIngest | Promise<AroundIngest>
}

/** Where the rows go. */
export interface IngestTarget {
  /** Quoted, with its schema where it has one. */
  readonly table: string
  /** Quoted. */
  readonly columns: readonly string[]
}

export interface AroundIngest extends AroundCopy {
  /** The table that the rows are copied into, if it is another one. */
  readonly into?: string
}

export interface IngestProgress {
  /** Rows of the file that are read. */
  readonly rows: number
  /** Rows of the complete file, if it states them, else null. */
  readonly totalRows: number | null
}

export interface IngestResult {
  readonly source: string
  /** Quoted, with its schema where it has one. */
  readonly table: string
  /** Rows loaded. */
  readonly rows: number
  readonly seconds: number
}

const progressIntervalMs = 100

/**
 * Loads a Parquet, CSV or JSON lines file into a source's table by one binary COPY: all of its rows or none. Columns
 * are matched by name, and each value is converted to the table's type and checked. A row without a key is loaded;
 * joins skip it.
 *
 * @throws LockstepError `USAGE` for a source that is a query, `SOURCE_MISSING`, `COLUMNS_MISMATCH` listing the missing
 *   and the unexpected columns, `SOURCE_TYPE_MISMATCH`, `FILE_UNREADABLE`, `INVALID_ROW` naming file, row, column and
 *   value
 */
export async function ingestFile(db: Database, source: SourceSpec, path: string, options: IngestOptions = {}): Promise<IngestResult> {
  const started = performance.now()
  const every = options.every ?? 1
  if (!Number.isInteger(every) || every < 1) throw new LockstepError('USAGE', `"every" is ${every}; give a whole number of 1 or more.`)
  const table = sourceTableName(source)
  if (table === null) {
    throw new LockstepError(
      'USAGE',
      `The source "${source.name}" is a SQL query, so nothing can be loaded into it. Load the tables that it reads.`,
    )
  }
  const tableColumns = await describeTable(db, table)
  if (await isView(db, table)) {
    throw new LockstepError(
      'USAGE',
      `The source "${source.name}" reads the view ${table}, so nothing can be loaded into it. Load the tables behind it.`,
    )
  }
  const file = options.file ?? (await openTabularFile(path))
  const hasIds = await hasEventIds(db, table)
  const filledByDatabase = ({ name, generated }: RelationColumn): boolean =>
    generated || (ownedColumnNames.includes(name) && !(name === eventIdColumn && hasIds))
  const columns = matchColumns(source, table, tableColumns, file, filledByDatabase).map((column) => ({
    ...column,
    nullable: column.nullable && options.present?.includes(column.from.name) !== true,
  }))
  const names = columns.map(({ from }) => from.name)
  const encoder = createCopyEncoder(path, columns)
  const quoted = names.map(sqlIdentifier)
  const around = await options.around?.({ table, columns: quoted })
  const copy = `COPY ${around?.into ?? table} (${quoted.join(', ')}) FROM STDIN (FORMAT binary)`
  let rows: number
  try {
    rows = await db.copyIn(copy, chunks(file, names, encoder, every, options), around)
  } catch (error) {
    throw refusedByTable(error, path, table, db.kind === 'postgres' ? every : null)
  }
  // so that the joins that follow are planned for the rows that are there now; these are there, whether it succeeds or
  // not
  if (options.analyze !== false) await db.query(`ANALYZE ${table}`).catch(() => undefined)
  return { source: source.name, table, rows, seconds: (performance.now() - started) / 1000 }
}

async function* chunks(
  file: TabularFile,
  names: readonly string[],
  encoder: CopyEncoder,
  every: number,
  options: IngestOptions,
): AsyncGenerator<Buffer> {
  let reported = performance.now()
  let done = 0
  for await (const batch of file.batches(names)) {
    const before = encoder.rows
    for (const chunk of encoder.encode(batch, every)) {
      options.signal?.throwIfAborted()
      yield chunk
      if (options.onProgress !== undefined && performance.now() - reported >= progressIntervalMs) {
        reported = performance.now()
        options.onProgress({ rows: Math.min(done + batch.rows, done + (encoder.rows - before) * every), totalRows: file.rows })
      }
    }
    done += batch.rows
  }
  yield* encoder.finish()
  options.onProgress?.({ rows: done, totalRows: file.rows })
}

/** The columns to load, in the file's order. The database fills the others. */
function matchColumns(
  source: SourceSpec,
  table: string,
  tableColumns: readonly RelationColumn[],
  file: TabularFile,
  filledByDatabase: (column: RelationColumn) => boolean,
): CopyColumn[] {
  const declared = new Set([...source.key.map(({ column }) => column), source.eventTime, ...source.columns.map(({ name }) => name)])
  if (source.known !== null) declared.add(source.known)
  const inTable = new Map(tableColumns.map((column) => [column.name, column]))
  const inFile = new Set(file.columns.map(({ name }) => name))

  const absent = [...declared].filter((name) => !inTable.has(name))
  if (absent.length > 0) {
    throw new LockstepError(
      'SOURCE_MISSING',
      `The table ${table} has no column ${quotedNames(absent)}, which the source "${source.name}" declares; add it to the table or correct the source.`,
    )
  }
  const missing = tableColumns
    .filter(
      ({ name, generated, hasDefault, nullable }) => !inFile.has(name) && !generated && !hasDefault && (declared.has(name) || !nullable),
    )
    .map(({ name }) => name)
  const extra = file.columns.map(({ name }) => name).filter((name) => !inTable.has(name))
  if (missing.length > 0 || extra.length > 0) {
    const parts = [
      missing.length > 0 ? `it lacks ${quotedNames(missing)}` : '',
      extra.length > 0 ? `the table has no column ${quotedNames(extra)}` : '',
    ]
    throw new LockstepError(
      'COLUMNS_MISMATCH',
      `The file "${file.path}" does not fit the table ${table} of the source "${source.name}": ${parts.filter((part) => part !== '').join('; ')}. Rename, add or remove columns in the file.`,
      { details: { path: file.path, table, missing, extra } },
    )
  }

  const columns = new Map<string, CopyColumn>()
  for (const from of file.columns) {
    const to = inTable.get(from.name)
    if (to !== undefined && !filledByDatabase(to)) columns.set(from.name, copyColumn(source, from, to))
  }
  if (file.format === 'jsonl') {
    // fields that only later rows have
    for (const to of tableColumns) {
      if (columns.has(to.name) || filledByDatabase(to) || to.hasDefault) continue
      columns.set(to.name, copyColumn(source, { name: to.name, type: null, described: 'JSON' }, to))
    }
  }
  return [...columns.values()]
}

function copyColumn(source: SourceSpec, from: FileColumn, to: RelationColumn): CopyColumn {
  const declared = source.columns.find(({ name }) => name === to.name)?.type
  return {
    from,
    type: to.type,
    // a row without an event time has no moment, and could never be used
    nullable: to.nullable && to.name !== source.eventTime,
    length: declared?.kind === 'vector' ? declared.length : null,
    infinity: onlyKnown(source, to.name),
    key: source.key.some(({ column }) => column === to.name),
    eventId: to.name === eventIdColumn,
  }
}

/** Whether a column is the known time, which may be infinite, and nothing else, which may not. */
function onlyKnown(source: SourceSpec, name: string): boolean {
  if (name !== source.known || name === source.eventTime) return false
  return ![...source.key.map(({ column }) => column), ...source.columns.map((column) => column.name)].includes(name)
}

/** Whether the table keeps the ids of events unique, as tables that accept pushed events do. */
async function hasEventIds(db: Pick<Database, 'query'>, table: string): Promise<boolean> {
  const indexes = await db.query(
    `SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
     WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND a.attname = $2
       AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = $3)`,
    [table, eventIdColumn, `(${eventIdColumn} IS NOT NULL)`],
  )
  return indexes.length > 0
}

/**
 * Constraints, lengths and triggers are checked by the database; its message, with the row that it names, is part of
 * ours. PGlite is fed in pieces and counts in each from 1: there `every` is null, and no row is named.
 */
function refusedByTable(error: unknown, path: string, table: string, every: number | null): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    if (!/^(22|23|P0)\w{3}$/.test(code)) continue
    const where = 'where' in cause && typeof cause.where === 'string' ? cause.where : ''
    const line = /line (\d+)/.exec(where)?.[1]
    const row = line === undefined || every === null ? null : (Number(line) - 1) * every + 1
    const place = row === null ? `a row of "${path}"` : `row ${row} of "${path}"`
    return new LockstepError(
      'INVALID_ROW',
      `The table ${table} refused ${place}: ${messageOf(cause)}. Nothing was loaded. Correct the row.`,
      {
        cause,
        details: { path, table, row },
      },
    )
  }
  return error
}
