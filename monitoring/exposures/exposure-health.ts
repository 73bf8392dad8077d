import type { Database } from '../../runtime/database.ts'

/** How complete the exposures of a run are. */
export interface ExposureHealth {
  /** Units with an exposure, and those with exposures to several variants. */
  readonly units: number
  readonly crossovers: number
  /** Answered rows. */
  readonly rows: number
  /** Exposures that servers had to drop. */
  readonly lost: number
  /** Servers that ended without a clean shutdown: up to a second of exposures after `writtenAt` may be missing. */
  readonly unclean: readonly { readonly process: string; readonly writtenAt: Date }[]
}

/** A recorder reports at least every half minute. */
const silentMs = 120_000

/** @param run the id of the run */
export async function readExposureHealth(db: Pick<Database, 'query'>, run: number, silentAfterMs = silentMs): Promise<ExposureHealth> {
  const [counted] = await db.query<Omit<ExposureHealth, 'lost' | 'unclean'>>(
    `SELECT count(*)::int AS units, (count(*) FILTER (WHERE variants > 1))::int AS crossovers, coalesce(sum(rows), 0)::float8 AS rows
     FROM (SELECT count(*) AS variants, sum(rows) AS rows FROM lockstep.exposures WHERE experiment_id = $1 GROUP BY unit) u`,
    [run],
  )
  const recorders = await db.query<{ process: string; writtenAt: Date; lost: number; unclean: boolean }>(
    `SELECT process, written_at AS "writtenAt", lost::float8 AS lost,
       closed_at IS NULL AND written_at < now() - $2 * interval '1 millisecond' AS unclean
     FROM lockstep.exposure_recorders WHERE experiment_id = $1 ORDER BY started_at`,
    [run, silentAfterMs],
  )
  return {
    ...(counted ?? { units: 0, crossovers: 0, rows: 0 }),
    lost: recorders.reduce((sum, { lost }) => sum + lost, 0),
    unclean: recorders.filter(({ unclean }) => unclean).map(({ process, writtenAt }) => ({ process, writtenAt })),
  }
}
