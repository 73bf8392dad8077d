import type { Database } from '../../runtime/database.ts'

/** What a unit of an experiment got first. */
export interface FirstExposure {
  /** Canonical text. */
  readonly unit: string
  readonly variant: string
  /** Epoch microseconds of its first and last answered row with this variant. */
  readonly at: number
  readonly lastAt: number
  /** How many of its rows this variant answered. */
  readonly rows: number
  /** The probability with which it was given the variant. */
  readonly propensity: number
  /** The fields that metrics, covariates and slices are asked by, as JSON has them. */
  readonly entity: Readonly<Record<string, unknown>>
  /** Of its first row. */
  readonly predictionId: string | null
  /** Whether it got another variant as well, later. */
  readonly crossedOver: boolean
}

/** A unit has at most one row for each variant, and an experiment at most 20 variants. */
const rowsPerPage = 5000

type Row = Omit<FirstExposure, 'crossedOver'>

/**
 * The first exposure of each unit of a run, ordered by unit (bytes of its UTF-8 text).
 *
 * @param run the id of the run (`ExperimentRun`)
 */
export async function* readExposures(db: Pick<Database, 'query'>, run: number): AsyncGenerator<FirstExposure> {
  for (let after: string | null = null; ;) {
    const page: readonly Row[] = await db.query<Row>(
      `SELECT unit, variant, (extract(epoch FROM exposed_at) * 1000000)::float8 AS at,
         (extract(epoch FROM last_at) * 1000000)::float8 AS "lastAt", rows::float8 AS rows, propensity, entity,
         prediction_id AS "predictionId"
       FROM lockstep.exposures WHERE experiment_id = $1 AND ($2::text IS NULL OR unit > $2)
       ORDER BY unit, exposed_at, variant LIMIT ${rowsPerPage}`,
      [run, after],
    )
    const full = page.length === rowsPerPage
    // the rows of the last unit may go on in the next page
    const last = full ? page.at(-1)?.unit : undefined
    for (let i = 0; i < page.length;) {
      const first = page[i] as Row
      if (first.unit === last) break
      let next = i + 1
      while (page[next]?.unit === first.unit) next++
      yield { ...first, crossedOver: next > i + 1 }
      after = first.unit
      i = next
    }
    if (!full) return
  }
}
