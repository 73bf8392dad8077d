import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { maxMicros } from '../../kernel/values/value-type.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { SpineNames } from '../spine/spine-columns.ts'
import { assignRoles } from '../spine/spine-columns.ts'
import type { SpineBatch } from '../spine/spine-rows.ts'
import type { Spine, SpineColumn } from '../spine/spine.ts'
import { columnSql, describeFiles, naturalDuckType, parquetSql, readColumn, sentSql } from './duckdb-columns.ts'
import type { DuckDb } from './open-duckdb.ts'
import type { OpenedFile } from './source-files.ts'

/** The spine in DuckDB: columns c0, c1 … in the order of the file, and `o`, its row number from 0. */
const table = '"spine"'

/**
 * Loads a spine of Parquet, and checks it against the service.
 *
 * @throws LockstepError `SPINE_INVALID`, `MISSING_REQUEST_VALUE`, `FEATURE_NAME_CLASH`, `FILE_UNREADABLE`
 */
export async function openDuckDbSpine(
  db: DuckDb,
  service: ServicePlan,
  { path, local }: Pick<OpenedFile, 'path' | 'local'>,
  named: SpineNames,
): Promise<Spine> {
  const what = `The spine "${path}"`
  const types = await describeFiles(db, [local])
  const found = [...types].map(([name, type]) => ({ name, type: naturalDuckType(type) }))
  const assigned = assignRoles(service, found, named, what)
  const columns = assigned.roles.map(({ name, type }, i): SpineColumn => {
    const wanted = type ?? found[i]?.type ?? null
    if (wanted !== null) return { name, type: wanted, sql: `s."c${i}"` }
    throw new LockstepError(
      'SPINE_INVALID',
      `${what} has a column "${name}" of the type ${types.get(name)}, which cannot be copied into a training set. Remove it.`,
    )
  })
  const typed = columns.map(({ name, type }, i) => `${sqlOf(types, name, type, what)} AS "c${i}"`)
  await db.rows(
    `CREATE OR REPLACE TEMP TABLE ${table} AS SELECT CAST(row_number() OVER () - 1 AS DOUBLE) AS "o", ${typed.join(', ')} FROM ${parquetSql([local])} s`,
  )
  const at = (name: string): string => columns.find((column) => column.name === name)?.sql ?? ''
  const [timeSql, requests] = [at(assigned.time), assigned.roles.filter(({ use }) => use === 'request')]
  const keys = assigned.roles.filter(({ use }) => use === 'key').map(({ name }) => `${at(name)} IS NULL`)
  const stamps = columns.filter(({ type }) => type.kind === 'timestamp')
  const firstWhere = (condition: string): string => `CAST(min(s."o") FILTER (WHERE ${condition}) + 1 AS DOUBLE)`
  const faults = [
    { condition: `${timeSql} IS NULL`, error: (row: number) => invalid(`Row ${row} of the spine has no time in "${assigned.time}"`) },
    ...stamps.map(({ name, sql }) => ({
      condition: `abs(${sql}) > ${maxMicros}`,
      error: (row: number) => invalid(`Row ${row} of the spine has a time in "${name}" that is infinite or outside the years 1684 to 2255`),
    })),
    ...requests.map(({ name }) => ({
      condition: `${at(name)} IS NULL`,
      error: (row: number) =>
        new LockstepError(
          'MISSING_REQUEST_VALUE',
          `Row ${row} of the spine has no value for the request's "${name}"; add the value, or remove the row.`,
        ),
    })),
  ]
  const nullKeys = keys.length === 0 ? '0' : `count(*) FILTER (WHERE ${keys.join(' OR ')})`
  const facts = ['count(*)', nullKeys].map((sql) => `CAST(${sql} AS DOUBLE)`)
  const all = [...facts, `min(${timeSql})`, `max(${timeSql})`, ...faults.map(({ condition }) => firstWhere(condition))]
  const [row = []] = await db.rows(`SELECT ${all.join(', ')} FROM ${table} s`)
  const [rows, nullKeyRows, firstTime, lastTime, ...first] = row as (number | null)[]
  for (const [i, fault] of faults.entries()) {
    const at = first[i] ?? null
    if (at !== null) throw fault.error(at)
  }
  return {
    id: 0,
    table,
    columns,
    time: assigned.time,
    rows: rows ?? 0,
    nullKeyRows: nullKeyRows ?? 0,
    firstTime: firstTime ?? null,
    lastTime: lastTime ?? null,
    drop: async () => void (await db.rows(`DROP TABLE IF EXISTS ${table}`)),
  }
}

/** The rows of the spine in its own order, in which DuckDB keeps the rows of a table. */
export async function* duckDbSpineRows(db: DuckDb, spine: Pick<Spine, 'table' | 'columns' | 'time'>): AsyncGenerator<SpineBatch> {
  const timeSlot = spine.columns.findIndex(({ name }) => name === spine.time)
  let first = 0
  const sent = spine.columns.map(({ sql, type }) => sentSql(sql, type))
  for await (const chunk of db.stream(`SELECT ${['s."o"', ...sent].join(', ')} FROM ${spine.table} s`)) {
    const [numbers, length] = [chunk.getColumnVector(0), chunk.rowCount]
    if (numbers.getItem(0) !== first || numbers.getItem(length - 1) !== first + length - 1)
      throw new LockstepError('INTERNAL', `DuckDB returned the rows of the spine out of order, at row ${first}. Report this as a bug.`)
    const columns = spine.columns.map(({ name, type }, i) => plus0(readColumn(chunk, i + 1, type, name)))
    yield { length, first, times: columns[timeSlot] as number[], columns }
    first += length
  }
}

/** -0 is 0, as in a database. */
function plus0(values: (Value | null)[]): (Value | null)[] {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value === 0) values[i] = 0
    else if (value instanceof Float32Array) values[i] = value.map((each) => each + 0)
  }
  return values
}

function sqlOf(types: Parameters<typeof columnSql>[0], name: string, type: SpineColumn['type'], what: string): string {
  try {
    return columnSql(types, name, type, what)
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'SOURCE_TYPE_MISMATCH') throw error
    throw new LockstepError('SPINE_INVALID', error.message.replace(' have ', ' has ').replace('in their column', 'in its column'), {
      cause: error,
    })
  }
}

/** A column of the spine, or NULL for one that it does not have. */
export function spineSql(spine: Pick<Spine, 'columns'>, name: string): string {
  return spine.columns.find((column) => column.name === name)?.sql ?? `NULL /* ${sqlIdentifier(name)} */`
}

function invalid(what: string): LockstepError {
  return new LockstepError('SPINE_INVALID', `${what}; correct the row, or remove it.`)
}
