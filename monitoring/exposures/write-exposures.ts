import type { Database } from '../../runtime/postgres/database.ts'

/** The stored fields of the first row of a unit. */
export interface FirstRow {
  readonly propensity: number
  /** JSON of the fields that metrics, covariates and slices are asked by. */
  readonly entity: string
  /** Every entity that was read, as the prediction log names them. */
  readonly entities: readonly Uint8Array[]
  readonly predictionId: string
}

/** Answered rows of a unit by one variant. */
export interface UnitRows {
  readonly unit: string
  readonly variant: string
  /** Epoch microseconds. */
  readonly at: number
  lastAt: number
  rows: number
  /** null: the unit was written before, and only its rows are added. */
  readonly first: FirstRow | null
}

/** Rows of one run that are written together. The recorder numbers its batches. */
export interface ExposureBatch {
  readonly run: number
  readonly recorder: string
  readonly number: number
  /** How many exposures the recorder had to drop so far. */
  readonly lost: number
  /** Ordered by variant and unit, so that writers do not wait for each other in a circle. */
  readonly units: readonly UnitRows[]
}

/**
 * Writes a batch in one statement. A batch that was written before, whose answer was lost, changes nothing. The
 * earliest exposure of a unit stays.
 */
export async function writeExposures(db: Pick<Database, 'query'>, { run, recorder, number, lost, units }: ExposureBatch): Promise<void> {
  const fresh = units.filter((each): each is UnitRows & { readonly first: FirstRow } => each.first !== null)
  const known = units.filter(({ first }) => first === null)
  await db.query(
    `WITH mark AS (
       INSERT INTO lockstep.exposure_recorders AS r (experiment_id, process, started_at, written_at, lost, batch)
       VALUES ($1, $2, now(), now(), $3, $4)
       ON CONFLICT (experiment_id, process) DO UPDATE SET written_at = now(), lost = excluded.lost, batch = excluded.batch
         WHERE r.batch < excluded.batch
       RETURNING batch),
     counted AS (
       UPDATE lockstep.exposures e SET rows = e.rows + t.rows, last_at = greatest(e.last_at, to_timestamp(t.last_at / 1000000))
       FROM unnest($5::text[], $6::text[], $7::float8[], $8::int8[]) AS t (unit, variant, last_at, rows)
       WHERE e.experiment_id = $1 AND e.unit = t.unit AND e.variant = t.variant AND EXISTS (SELECT FROM mark))
     INSERT INTO lockstep.exposures AS e
       (experiment_id, unit, variant, exposed_at, last_at, rows, propensity, entity, entities, prediction_id)
     SELECT $1, t.unit, t.variant, to_timestamp(t.at / 1000000), to_timestamp(t.last_at / 1000000), t.rows, t.propensity,
       t.entity::json, t.entities::bytea[], t.prediction_id
     FROM unnest($9::text[], $10::text[], $11::float8[], $12::float8[], $13::int8[], $14::float8[], $15::text[], $16::text[], $17::text[])
       AS t (unit, variant, at, last_at, rows, propensity, entity, entities, prediction_id)
     WHERE EXISTS (SELECT FROM mark)
     ON CONFLICT (experiment_id, unit, variant) DO UPDATE SET
       rows = e.rows + excluded.rows,
       last_at = greatest(e.last_at, excluded.last_at),
       exposed_at = least(e.exposed_at, excluded.exposed_at),
       propensity = CASE WHEN excluded.exposed_at < e.exposed_at THEN excluded.propensity ELSE e.propensity END,
       entity = CASE WHEN excluded.exposed_at < e.exposed_at THEN excluded.entity ELSE e.entity END,
       entities = CASE WHEN excluded.exposed_at < e.exposed_at THEN excluded.entities ELSE e.entities END,
       prediction_id = CASE WHEN excluded.exposed_at < e.exposed_at THEN excluded.prediction_id ELSE e.prediction_id END`,
    [
      run,
      recorder,
      lost,
      number,
      known.map(({ unit }) => unit),
      known.map(({ variant }) => variant),
      known.map(({ lastAt }) => lastAt),
      known.map(({ rows }) => rows),
      fresh.map(({ unit }) => unit),
      fresh.map(({ variant }) => variant),
      fresh.map(({ at }) => at),
      fresh.map(({ lastAt }) => lastAt),
      fresh.map(({ rows }) => rows),
      fresh.map(({ first }) => first.propensity),
      fresh.map(({ first }) => first.entity),
      fresh.map(({ first }) => byteaArray(first.entities)),
      fresh.map(({ first }) => first.predictionId),
    ],
  )
}

/** Text of a `bytea[]`. */
export function byteaArray(all: readonly Uint8Array[]): string {
  return `{${all.map((bytes) => `"\\\\x${Buffer.from(bytes).toString('hex')}"`).join()}}`
}

/**
 * Notes that a recorder lives, or that it has written all.
 *
 * @returns whether the run has ended
 */
export async function markRecorder(
  db: Pick<Database, 'query'>,
  { run, recorder, lost }: Pick<ExposureBatch, 'run' | 'recorder' | 'lost'>,
  isClosed: boolean,
): Promise<boolean> {
  const [row] = await db.query<{ ended: boolean }>(
    `INSERT INTO lockstep.exposure_recorders AS r (experiment_id, process, started_at, written_at, lost, closed_at)
     SELECT e.id, $2, now(), now(), $3, CASE WHEN $4 OR e.state <> 'running' THEN now() END FROM lockstep.experiments e WHERE e.id = $1
     ON CONFLICT (experiment_id, process) DO UPDATE SET written_at = now(), lost = excluded.lost, closed_at = excluded.closed_at
     RETURNING r.closed_at IS NOT NULL AS ended`,
    [run, recorder, lost, isClosed],
  )
  return row?.ended ?? true
}
