import type { Database } from '../../runtime/postgres/database.ts'
import { answeredIdSql } from '../prediction-log/prediction-id.ts'

/** One row of a request as the version that answered it and the shadow predicted it. */
export interface LoggedPair {
  readonly at: number
  readonly predictionId: string
  readonly championId: string
  readonly championVersion: number
  readonly service: string
  readonly asOf: number
  readonly keys: Readonly<Record<string, unknown>>
  readonly champion: Readonly<Record<string, unknown>>
  readonly candidate: Readonly<Record<string, unknown>>
  readonly championFeatures: Readonly<Record<string, unknown>>
  readonly candidateFeatures: Readonly<Record<string, unknown>>
}

export interface PairsQuery {
  readonly model: string
  readonly version: number
  /** Epoch microseconds, [from, to). */
  readonly from: number
  readonly to: number
  readonly limit: number
}

/** A shadow is logged some seconds after the answer. */
const lagMicros = 60_000_000

/** The newest pairs of the prediction log, and how many rows of the shadow are logged in all. */
export async function readPairs(
  db: Pick<Database, 'query'>,
  { model, version, from, to, limit }: PairsQuery,
): Promise<{ readonly logged: number; readonly pairs: readonly LoggedPair[] }> {
  const shadowed = `model = $1 AND version = $2 AND role = 'shadow' AND at >= to_timestamp($3::float8 / 1000000) AND at < to_timestamp($4::float8 / 1000000)`
  const counted = await db.query<{ logged: number }>(`SELECT count(*)::int AS logged FROM lockstep.prediction_log WHERE ${shadowed}`, [
    model,
    version,
    from,
    to,
  ])
  const pairs = await db.query<LoggedPair>(
    `WITH shadow AS MATERIALIZED (
       SELECT *, ${answeredIdSql('prediction_id')} AS answered_id FROM lockstep.prediction_log WHERE ${shadowed}
       ORDER BY at DESC LIMIT $5)
     SELECT (extract(epoch FROM shadow.at) * 1000000)::float8 AS at, shadow.prediction_id AS "predictionId",
       answered.prediction_id AS "championId", answered.version AS "championVersion", shadow.service,
       (extract(epoch FROM shadow.as_of) * 1000000)::float8 AS "asOf", shadow.keys, answered.outputs AS champion,
       shadow.outputs AS candidate, answered.features AS "championFeatures", shadow.features AS "candidateFeatures"
     FROM shadow JOIN lockstep.prediction_log answered ON answered.prediction_id = shadow.answered_id
       AND answered.at >= to_timestamp(($3::float8 - ${lagMicros}) / 1000000) AND answered.at < to_timestamp($4::float8 / 1000000)
     ORDER BY shadow.at DESC, shadow.prediction_id`,
    [model, version, from, to, limit],
  )
  return { logged: counted[0]?.logged ?? 0, pairs }
}
