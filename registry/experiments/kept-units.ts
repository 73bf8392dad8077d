import type { Database } from '../../runtime/postgres/database.ts'
import type { Slice } from '../../statistics/assign.ts'
import type { ExperimentRun } from './experiment.ts'

/** As many units of an experiment may keep a variant that their place no longer gives. About 100 MB on each server. */
export const maxKeptUnits = 1_000_000

/** Servers take new shares within a second, and write exposures within another one, or later if PostgreSQL is slow. */
export const lateMs = 30_000

/** Whether units of a run may come again after its shares changed. */
export function keepsUnits({ spec }: Pick<ExperimentRun, 'spec'>): boolean {
  return spec.allocation !== undefined && spec.unit !== 'request-id'
}

/**
 * The units of a run whose first variant is not that of their place, because the shares have changed since: they keep
 * it. At most `maxKeptUnits`.
 *
 * @param isLate only units that came since `lateMs` before the newest shares
 * @returns variants by unit
 */
export async function readKeptUnits(db: Pick<Database, 'query'>, run: ExperimentRun, isLate: boolean): Promise<Map<string, string>> {
  const changes = await db.query('SELECT 1 FROM lockstep.experiment_allocations WHERE experiment_id = $1 LIMIT 1', [run.id])
  if (changes.length === 0) return new Map()
  const rows = await db.query<{ unit: string; variant: string }>(`${movedUnits} SELECT unit, variant FROM moved LIMIT ${maxKeptUnits}`, [
    ...parametersOf(run, run.slices),
    isLate,
  ])
  return new Map(rows.map(({ unit, variant }) => [unit, variant]))
}

/** How many units would keep their variant if a run had these slices. */
export async function countKeptUnits(db: Pick<Database, 'query'>, run: ExperimentRun, slices: readonly Slice[]): Promise<number> {
  const [row] = await db.query<{ n: number }>(`${movedUnits} SELECT count(*)::int AS n FROM moved`, [...parametersOf(run, slices), false])
  return row?.n ?? 0
}

function parametersOf({ id, salt }: ExperimentRun, slices: readonly Slice[]): unknown[] {
  return [id, salt, slices.map(({ from }) => from), slices.map(({ to }) => to), slices.map(({ variant }) => variant)]
}

/** Places are computed as `unitPlace` does. */
const movedUnits = `WITH latest AS (
    SELECT coalesce(max(at) - interval '${lateMs} milliseconds', '-infinity') AS at FROM lockstep.experiment_allocations WHERE experiment_id = $1
  ), first AS (
    SELECT DISTINCT ON (unit) unit, variant FROM lockstep.exposures
    WHERE experiment_id = $1 AND (NOT $6::bool OR exposed_at >= (SELECT at FROM latest))
    ORDER BY unit, exposed_at
  ), placed AS (
    SELECT unit, variant, (('x' || encode(substr(sha256(
      convert_to($2::text, 'UTF8') || '\\x00'::bytea || convert_to(unit, 'UTF8')), 1, 8), 'hex'))::bit(64) >> 11)::bigint / 2::float8 ^ 53 AS place
    FROM first
  ), moved AS (
    SELECT unit, variant FROM placed p WHERE NOT EXISTS (
      SELECT FROM unnest($3::float8[], $4::float8[], $5::text[]) AS s (begins, ends, variant)
      WHERE p.place >= s.begins AND p.place < s.ends AND s.variant = p.variant)
  )`
