import type { Database } from '../../runtime/postgres/database.ts'

/** The first variant of a unit of an experiment. */
export interface FirstExposure {
  readonly unit: string
  readonly variant: string
  /** Epoch microseconds of its first and last answered row with this variant. */
  readonly at: number
  readonly lastAt: number
  readonly rows: number
  readonly propensity: number
  readonly entity: Readonly<Record<string, unknown>>
  readonly predictionId: string | null
  /** Whether it got another variant as well, later. */
  readonly crossedOver: boolean
}

/** The first exposure of each unit of a run, ordered by unit. */
export function firstExposures(db: Pick<Database, 'query'>, run: number): Promise<FirstExposure[]> {
  return db.query<FirstExposure>(
    `SELECT DISTINCT ON (unit) unit, variant, (extract(epoch FROM exposed_at) * 1000000)::float8 AS at,
       (extract(epoch FROM last_at) * 1000000)::float8 AS "lastAt", rows::float8 AS rows, propensity, entity,
       prediction_id AS "predictionId", count(*) OVER (PARTITION BY unit) > 1 AS "crossedOver"
     FROM lockstep.exposures WHERE experiment_id = $1 ORDER BY unit, exposed_at, variant`,
    [run],
  )
}
