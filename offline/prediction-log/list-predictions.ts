import type { Database } from '../../runtime/database.ts'

/** A row of the log, as people read it. Members that are JSON are as JSON.parse gives them. */
export interface ListedPrediction {
  readonly at: Date
  readonly requestId: string
  readonly entity: number
  readonly model: string
  readonly version: number
  readonly service: string
  readonly asOf: Date
  readonly keys: unknown
  readonly request: unknown
  readonly features: unknown
  readonly statuses: unknown
  readonly reads: unknown
  readonly outputs: unknown
  readonly latencyMicros: number
  readonly apiKey: string | null
  readonly degraded: boolean
  readonly skewed: boolean
}

export interface ListQuery {
  /** Epoch microseconds: logged from then on. */
  readonly since: number
  readonly model?: string
  readonly requestId?: string
  readonly limit: number
}

/** Newest first; the entities of a request in their order. */
export async function listPredictions(
  db: Pick<Database, 'query'>,
  { since, model, requestId, limit }: ListQuery,
): Promise<ListedPrediction[]> {
  return await db.query<ListedPrediction>(
    `SELECT at, request_id AS "requestId", entity, model, version, service, as_of AS "asOf", keys, request, features, statuses, reads, outputs,
       latency_micros AS "latencyMicros", api_key AS "apiKey", degraded, skewed
     FROM lockstep.prediction_log
     WHERE at >= to_timestamp($1) AND ($2::text IS NULL OR model = $2) AND ($3::text IS NULL OR request_id = $3)
     ORDER BY at DESC, request_id, entity LIMIT $4`,
    [since / 1e6, model ?? null, requestId ?? null, limit],
  )
}
