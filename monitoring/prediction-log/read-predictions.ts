import type { Database } from '../../runtime/database.ts'
import { microsOf } from './micros-of.ts'

/** One logged row, as far as its features can be made again from it. Members that are JSON are as JSON.parse gives them. */
export interface LoggedVector {
  /** Epoch microseconds, as `asOf`. */
  readonly at: number
  readonly requestId: string
  readonly entity: number
  readonly model: string
  readonly version: number
  readonly service: string
  readonly serviceFingerprint: string
  readonly asOf: number
  readonly keys: unknown
  readonly request: unknown
  readonly features: unknown
  readonly statuses: unknown
  readonly reads: unknown
  /** `xmin:xmax:running,running` */
  readonly snapshot: string
}

export interface LoggedQuery {
  /** Epoch microseconds: logged from `since` on and before `until`. */
  readonly since: number
  readonly until: number
  /** Absent: of all models. */
  readonly model?: string
  /** How many at most. */
  readonly limit: number
  /** `random`: any of them. `newest`: those that were logged last. */
  readonly order: 'random' | 'newest'
}

export async function readLoggedVectors(
  db: Pick<Database, 'query'>,
  { since, until, model, limit, order }: LoggedQuery,
): Promise<LoggedVector[]> {
  const rows = await db.query<{ [Key in keyof LoggedVector]: Key extends 'at' | 'asOf' ? string : LoggedVector[Key] }>(
    `SELECT ${microsOf('at')}::text AS at, request_id AS "requestId", entity, model, version, service, service_fingerprint AS "serviceFingerprint",
       ${microsOf('as_of')}::text AS "asOf", keys, request, features, statuses, reads, snapshot::text AS snapshot
     FROM lockstep.prediction_log
     WHERE at >= to_timestamp($1) AND at < to_timestamp($2) AND ($3::text IS NULL OR model = $3)
     ORDER BY ${order === 'random' ? 'random()' : 'at DESC'} LIMIT $4`,
    [since / 1e6, until / 1e6, model ?? null, limit],
  )
  return rows.map((row) => ({ ...row, at: Number(row.at), asOf: Number(row.asOf) }))
}
