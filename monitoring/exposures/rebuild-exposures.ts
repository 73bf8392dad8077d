import { readAllocations } from '../../registry/experiments/allocation.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { exposureFields } from '../../kernel/specs/experiment-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import { loggedUnit } from '../experiments/exposed-units.ts'
import { forgetErased } from '../prediction-log/forget-erased.ts'

/** Newer rows wait: their exposures may still be written. */
const settleMicros = 120_000_000
/** Servers take the stop of an experiment within a second. */
const stopMicros = 2_000_000
/** An exposure is noted a moment before or after its row is logged. */
const toleranceSeconds = 1

/**
 * Rebuilds the exposures that were lost: of units whose predictions were logged with a variant of this run, and that
 * have no exposure to it, or only a later one. A server that is killed loses those of its last second, and one whose
 * database is down for long drops some. Rows that were not logged either stay lost. Running it again changes nothing.
 *
 * @param from rows that were logged from then on, epoch microseconds
 * @returns how many exposures were rebuilt
 */
export async function rebuildExposures(db: Database, run: ExperimentRun, from: number, asOf: number): Promise<number> {
  const { id, name, model, spec } = run
  const since = Math.max(from, run.startedAt.getTime() * 1000)
  const until = Math.min(
    asOf - settleMicros,
    run.stoppedAt === null ? Number.POSITIVE_INFINITY : run.stoppedAt.getTime() * 1000 + stopMicros,
  )
  if (until <= since) return 0
  const periods = await readAllocations(db.kysely, run)
  const shares = periods.flatMap(({ from: begins, shares: of }, k) =>
    spec.variants.map(({ name: variant }, i) => ({
      variant,
      share: of[i] as number,
      from: k === 0 ? 0 : begins / 1e6,
      to: (periods[k + 1]?.from ?? Number.MAX_SAFE_INTEGER) / 1e6,
    })),
  )
  const unit = loggedUnit(spec.unit)
  const fields = exposureFields(spec).map((field) => `${sqlText(field)}, coalesce(p.keys->${sqlText(field)}, p.request->${sqlText(field)})`)
  const rebuilt = await db.query<{ entities: Buffer[]; at: number }>(
    `WITH rows AS (
       SELECT ${unit} AS unit, p.variant, p.at, p.prediction_id FROM lockstep.prediction_log p
       WHERE p.model = $2 AND p.experiment = $3 AND p.variant = ANY ($6::text[]) AND p.at >= to_timestamp($4) AND p.at < to_timestamp($5)
         AND p.prediction_id IS NOT NULL AND ${unit} IS NOT NULL
     ), units AS (
       SELECT DISTINCT ON (unit, variant) unit, variant, at, prediction_id,
         count(*) OVER w AS rows, max(at) OVER w AS last_at
       FROM rows WINDOW w AS (PARTITION BY unit, variant) ORDER BY unit, variant, at, prediction_id
     ), lacking AS (
       SELECT u.* FROM units u LEFT JOIN lockstep.exposures e ON e.experiment_id = $1 AND e.unit = u.unit AND e.variant = u.variant
       WHERE e.unit IS NULL OR e.exposed_at > u.at + interval '${toleranceSeconds} seconds'
     )
     INSERT INTO lockstep.exposures AS e
       (experiment_id, unit, variant, exposed_at, last_at, rows, propensity, entity, entities, prediction_id, rebuilt)
     SELECT $1, l.unit, l.variant, l.at, l.last_at, l.rows, v.share, json_build_object(${fields.join(', ')}), p.entities, p.prediction_id, true
     FROM lacking l JOIN lockstep.prediction_log p ON p.prediction_id = l.prediction_id AND p.at = l.at
       JOIN unnest($6::text[], $7::float8[], $8::float8[], $9::float8[]) AS v (name, share, begins, ends)
         ON v.name = l.variant AND extract(epoch FROM l.at)::float8 >= v.begins AND extract(epoch FROM l.at)::float8 < v.ends
     ORDER BY l.variant, l.unit
     ON CONFLICT (experiment_id, unit, variant) DO UPDATE SET
       exposed_at = excluded.exposed_at, last_at = greatest(e.last_at, excluded.last_at), propensity = excluded.propensity,
       entity = excluded.entity, entities = excluded.entities, prediction_id = excluded.prediction_id, rebuilt = true
       WHERE excluded.exposed_at < e.exposed_at
     RETURNING entities, (extract(epoch FROM exposed_at) * 1000)::float8 AS at`,
    [
      id,
      model,
      name,
      since / 1e6,
      until / 1e6,
      shares.map(({ variant }) => variant),
      shares.map(({ share }) => share),
      shares.map((each) => each.from),
      shares.map(({ to }) => to),
    ],
  )
  // entities that are erased meanwhile must not come back
  const first = rebuilt.reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY)
  const entities = rebuilt.flatMap((row) => row.entities)
  if (entities.length > 0) await forgetErased(db, first, entities)
  return rebuilt.length
}
