import type { Database } from '../../runtime/postgres/database.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import type { Window } from '../window.ts'
import type { Coverage } from './coverage.ts'
import type { RollupKey } from './rollup-writer.ts'
import { ColumnsSummary } from './columns-summary.ts'
import { TrafficSummary } from './traffic-summary.ts'

export type MergedStep = 'hour' | 'day'

export const stepMicros = { minute: 60_000_000, hour: 3_600_000_000, day: 86_400_000_000 } as const

/** A row of `lockstep.rollups` or `lockstep.merged_rollups`. */
export interface StoredRollup extends RollupKey {
  readonly step: keyof typeof stepMicros
  /** Epoch microseconds. */
  readonly at: number
  /** Which process wrote a minute. */
  readonly process?: string
  readonly traffic: Buffer
  /** The encoded columns, which may end before their bins. */
  readonly columns: Buffer | null
  /** The measured time. Only merged rows of the process' key have it, and backfilled rows, which no server measured. */
  readonly coverage: Coverage | null
}

/** How many rows a period has: of the minutes, and those that merged rows are made of. */
export interface PeriodRows extends RollupKey {
  readonly at: number
  /** Rows of the finer table. */
  readonly finer: number
  /** The number of finer rows from which the merged row was made; null: there is no merged row. */
  readonly merged: number | null
}

const micros = (column: string) => `(extract(epoch FROM ${column}) * 1000000)::float8`
const moment = (parameter: string) => `to_timestamp(${parameter}::float8 / 1000000)`

/** By period and key, whether merged rows are complete: a minute may be written late, after it was merged. */
export async function readPeriods(db: Pick<Database, 'query'>, step: MergedStep, from: number, to: number): Promise<PeriodRows[]> {
  return await db.query<PeriodRows>(`${periodsSql(step, '$1', '$2', 'true')} ORDER BY at`, [from, to])
}

/** The same for hours and days of models, in one statement. */
export async function readHoursAndDays(
  db: Pick<Database, 'query'>,
  hours: Window,
  days: Window,
  models: readonly string[],
): Promise<{ readonly hours: readonly PeriodRows[]; readonly days: readonly PeriodRows[] }> {
  const ofModels = 'model = ANY ($5::text[])'
  const rows = await db.query<PeriodRows & { readonly step: MergedStep }>(
    `${periodsSql('hour', '$1', '$2', ofModels)} UNION ALL ${periodsSql('day', '$3', '$4', ofModels)} ORDER BY at`,
    [hours.from, hours.to, days.from, days.to, models],
  )
  const of = (each: MergedStep) => rows.filter(({ step }) => step === each)
  return { hours: of('hour'), days: of('day') }
}

function periodsSql(step: MergedStep, from: string, to: string, filter: string): string {
  // days are made of hours, and are complete if both are made of as many minutes
  const finer =
    step === 'hour'
      ? `SELECT date_trunc('hour', at) AS at, model, version, role, count(*)::int AS parts FROM lockstep.rollups`
      : `SELECT date_trunc('day', at) AS at, model, version, role, sum(parts)::int AS parts FROM lockstep.merged_rollups`
  const where = `at >= ${moment(from)} AND at < ${moment(to)} AND ${filter}`
  return `SELECT '${step}' AS step, ${micros('at')} AS at, model, version, role, coalesce(f.parts, 0) AS finer, m.parts AS merged
     FROM (${finer} WHERE ${where}${step === 'day' ? ` AND step = 'hour'` : ''} GROUP BY 1, 2, 3, 4) f
     FULL JOIN (SELECT at, model, version, role, parts FROM lockstep.merged_rollups WHERE step = '${step}' AND ${where}) m
       USING (at, model, version, role)`
}

/** The part of the columns that is read: all, all but their bins, which are most of the bytes, or nothing. */
export type ColumnsRead = 'complete' | 'summaries' | 'none'

/** The summaries of 50 numbers have 17 KB, and that of a text up to 5 KB or so. PostgreSQL decompresses no more. */
const summaryBytes = 32_768

const columnsSql: Readonly<Record<ColumnsRead, string>> = {
  complete: 'columns',
  summaries: `substring(columns FROM 1 FOR ${summaryBytes}) AS columns`,
  none: 'NULL AS columns',
}

/**
 * Rows with as much of their columns as is asked for. Rows whose summaries are longer than usual are read completely.
 *
 * @param read the rows, by the SQL of their columns
 */
export async function readWithColumns<Row extends Pick<StoredRollup, 'columns'>>(
  columns: ColumnsRead,
  read: (sql: string) => Promise<Row[]>,
): Promise<Row[]> {
  const rows = await read(columnsSql[columns])
  const isCut = ({ columns: bytes }: Row) => bytes?.length === summaryBytes && !ColumnsSummary.hasSummaries(bytes)
  return columns === 'summaries' && rows.some(isCut) ? await read(columnsSql.complete) : rows
}

/** Merged rows of models. */
export async function readMerged(
  db: Pick<Database, 'query'>,
  step: MergedStep,
  at: readonly number[],
  models: readonly string[],
  columns: ColumnsRead = 'complete',
): Promise<(StoredRollup & { readonly parts: number })[]> {
  return await readWithColumns(columns, (sql) =>
    db.query(
      `SELECT '${step}' AS step, ${micros('at')} AS at, model, version, role, parts, traffic, ${sql}, coverage FROM lockstep.merged_rollups
       WHERE step = '${step}' AND at = ANY (SELECT ${moment('each')} FROM unnest($1::float8[]) AS each) AND model = ANY ($2::text[])`,
      [at, models],
    ),
  )
}

/** How the merged rows of models were measured. */
export async function readMergedCoverage(
  db: Pick<Database, 'query'>,
  step: MergedStep,
  at: readonly number[],
  models: readonly string[],
): Promise<MeasuredPeriod[]> {
  return await db.query(
    `SELECT ${micros('at')} AS at, model, version, role, coverage FROM lockstep.merged_rollups
     WHERE step = '${step}' AND at = ANY (SELECT ${moment('each')} FROM unnest($1::float8[]) AS each) AND model = ANY ($2::text[]) AND coverage IS NOT NULL`,
    [at, models],
  )
}

/** The key is that of the processes, or of backfilled rows. */
export interface MeasuredPeriod extends RollupKey {
  /** Epoch microseconds. */
  readonly at: number
  readonly coverage: Coverage
}

export async function writeMerged(...[db, ...merged]: [db: Pick<Database, 'query'>, ...Parameters<typeof mergedStatement>]): Promise<void> {
  await db.query(mergedStatement(...merged))
}

/** The statement that writes a merged row, in place of the one before. */
export function mergedStatement(
  step: MergedStep,
  { at, model, version, role }: RollupKey & { readonly at: number },
  { parts, traffic, columns, coverage }: MergedRows,
): string {
  const bytes = (encoded: Uint8Array | undefined) =>
    encoded === undefined ? 'NULL' : `decode('${Buffer.from(encoded).toString('hex')}', 'hex')`
  const measured = coverage === null ? 'NULL' : sqlText(JSON.stringify(coverage))
  return `INSERT INTO lockstep.merged_rollups (step, at, model, version, role, parts, traffic, columns, coverage)
     VALUES ('${step}', ${moment(String(at))}, ${sqlText(model)}, ${version}, ${sqlText(role)}, ${parts},
             ${bytes(traffic.encode())}, ${bytes(columns?.encode())}, ${measured}::json)
     ON CONFLICT (step, at, model, version, role)
     DO UPDATE SET parts = excluded.parts, traffic = excluded.traffic, columns = excluded.columns, coverage = excluded.coverage`
}

export interface MergedRows {
  readonly parts: number
  readonly traffic: TrafficSummary
  readonly columns: ColumnsSummary | null
  readonly coverage: Coverage | null
}

/** Merges rows one after the other. */
export class RollupMerger {
  readonly traffic = new TrafficSummary()
  columns: ColumnsSummary | null = null
  /** Rows that another version of Lockstep wrote, which this one cannot read. */
  unreadable = 0

  add({ traffic, columns }: Pick<StoredRollup, 'traffic' | 'columns'>): void {
    const ownColumns = columns === null ? null : ColumnsSummary.decode(columns)
    if ((columns !== null && ownColumns === null) || !this.traffic.mergeEncoded(traffic)) {
      this.unreadable++
      return
    }
    if (ownColumns === null) return
    if (this.columns === null) this.columns = ownColumns
    else this.columns.merge(ownColumns)
  }
}
