import { dayMicros } from '../../kernel/values/time.ts'
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
  /** Units that were exposed in the last seven days, or since the start if that is later. */
  readonly recentUnits: number
  /** How long that was, in days. */
  readonly recentDays: number
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
  const rows = await db.query<{ variant: string; units: number; rows: number; crossovers: number; recent: number; first: number | null }>(
    `SELECT variant, count(*)::float8 AS units, sum(rows)::float8 AS rows, (count(*) FILTER (WHERE variants > 1))::float8 AS crossovers,
       (count(*) FILTER (WHERE exposed_at > ${now} - interval '7 days'))::float8 AS recent, (extract(epoch FROM min(exposed_at)) * 1000000)::float8 AS first
     FROM (
       SELECT (array_agg(variant ORDER BY exposed_at, variant))[1] AS variant, count(*) AS variants, sum(rows) AS rows, min(exposed_at) AS exposed_at
       FROM lockstep.exposures WHERE experiment_id = $1 AND exposed_at <= ${now} GROUP BY unit
     ) u GROUP BY variant`,
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
  const of = (variant: string) => rows.find((row) => row.variant === variant)
  const first = Math.min(...rows.flatMap((row) => row.first ?? []))
  return {
    units: variants.map((variant) => of(variant)?.units ?? 0),
    rows: variants.map((variant) => of(variant)?.rows ?? 0),
    crossovers: rows.reduce((sum, row) => sum + row.crossovers, 0),
    recentUnits: rows.reduce((sum, row) => sum + row.recent, 0),
    recentDays: rows.length === 0 ? 0 : Math.min(7, Math.max(0, asOf - first) / dayMicros),
    lost: lost?.lost ?? 0,
    unclosed: lost?.unclosed ?? 0,
    rebuilt: found?.rebuilt ?? 0,
  }
}

/** Without exposures. */
export function noCounts(variants: readonly string[]): ExposureCounts {
  const none = variants.map(() => 0)
  return { units: none, rows: none, crossovers: 0, recentUnits: 0, recentDays: 0, lost: 0, unclosed: 0, rebuilt: 0 }
}
