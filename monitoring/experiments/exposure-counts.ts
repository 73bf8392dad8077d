import { sqlMoment } from '../../runtime/postgres/sql.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ExposedUnits } from './exposed-units.ts'

/** How many units got each variant, and how many exposures are unknown. */
export interface ExposureCounts {
  /** By variant: units that saw it first, those included that saw another later. */
  readonly units: readonly number[]
  /** By variant: the rows that it answered. */
  readonly rows: readonly number[]
  /** Units that saw more than one variant. They are left out of all figures. */
  readonly crossovers: number
  /** New units of each complete day of 24 hours since the first exposure, oldest first. The last one ends at `asOf`. */
  readonly newByDay: readonly number[]
  /** Exposures that servers dropped. */
  readonly lost: number
  /** Servers that ended without writing down their last second. */
  readonly unclosed: number
  /** Exposures that were rebuilt from the prediction log. */
  readonly rebuilt: number
}

const silentSeconds = 120

export async function exposureCounts(
  db: Database,
  { experimentId, asOf }: ExposedUnits,
  variants: readonly string[],
): Promise<ExposureCounts> {
  const now = sqlMoment(asOf)
  const rows = await db.query<{ variant: string; ago: number; units: number; rows: number; crossovers: number }>(
    `SELECT variant, ago, count(*)::float8 AS units, sum(rows)::float8 AS rows, (count(*) FILTER (WHERE variants > 1))::float8 AS crossovers
     FROM (
       SELECT (array_agg(variant ORDER BY exposed_at, variant))[1] AS variant, count(*) AS variants, sum(rows) AS rows,
         floor(extract(epoch FROM ${now} - min(exposed_at)) / 86400)::int AS ago
       FROM lockstep.exposures WHERE experiment_id = $1 AND exposed_at <= ${now} GROUP BY unit
     ) u GROUP BY variant, ago`,
    [experimentId],
  )
  const [found] = await db.query<{ rebuilt: number }>(
    `SELECT count(*)::float8 AS rebuilt FROM lockstep.exposures WHERE experiment_id = $1 AND rebuilt AND exposed_at <= ${now}`,
    [experimentId],
  )
  const [lost] = await db.query<{ lost: number; unclosed: number }>(
    `SELECT coalesce(sum(lost), 0)::float8 AS lost,
       (count(*) FILTER (WHERE closed_at IS NULL AND written_at < now() - interval '${silentSeconds} seconds'))::float8 AS unclosed
     FROM lockstep.exposure_recorders WHERE experiment_id = $1`,
    [experimentId],
  )
  const sum = (some: typeof rows, count: 'units' | 'rows' | 'crossovers'): number => some.reduce((total, row) => total + row[count], 0)
  const of = (variant: string): typeof rows => rows.filter((row) => row.variant === variant)
  // the days before asOf that are complete; the oldest units are of the incomplete one before them
  const days = Math.max(0, ...rows.map(({ ago }) => ago))
  return {
    units: variants.map((variant) => sum(of(variant), 'units')),
    rows: variants.map((variant) => sum(of(variant), 'rows')),
    crossovers: sum(rows, 'crossovers'),
    newByDay: Array.from({ length: days }, (_, day) =>
      sum(
        rows.filter(({ ago }) => ago === days - 1 - day),
        'units',
      ),
    ),
    lost: lost?.lost ?? 0,
    unclosed: lost?.unclosed ?? 0,
    rebuilt: found?.rebuilt ?? 0,
  }
}

/** Without exposures. */
export function noCounts(variants: readonly string[]): ExposureCounts {
  const none = variants.map(() => 0)
  return { units: none, rows: none, crossovers: 0, newByDay: [], lost: 0, unclosed: 0, rebuilt: 0 }
}
