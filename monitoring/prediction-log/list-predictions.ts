import { formatTimestamp } from '../../kernel/time.ts'
import type { Database } from '../../runtime/database.ts'
import { microsOf } from './micros-of.ts'

/** A row of the log, as people read it. Members that are JSON are as JSON.parse gives them. */
export interface ListedPrediction {
  /** As `asOf` RFC 3339, to the microsecond. */
  readonly at: string
  readonly requestId: string
  readonly entity: number
  readonly model: string
  readonly version: number
  readonly service: string
  readonly asOf: string
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
  const rows = await db.query<ListedPrediction>(
    `SELECT ${microsOf('at')}::text AS at, request_id AS "requestId", entity, model, version, service, ${microsOf('as_of')}::text AS "asOf", keys, request, features, statuses, reads, outputs,
       latency_micros AS "latencyMicros", api_key AS "apiKey", degraded, skewed
     FROM lockstep.prediction_log
     WHERE prediction_log.at >= to_timestamp($1) AND ($2::text IS NULL OR model = $2) AND ($3::text IS NULL OR request_id = $3)
     ORDER BY prediction_log.at DESC, request_id, entity LIMIT $4`,
    [since / 1e6, model ?? null, requestId ?? null, limit],
  )
  return rows.map((row) => ({ ...row, at: formatTimestamp(Number(row.at)), asOf: formatTimestamp(Number(row.asOf)) }))
}
