import { formatTimestamp } from '../../kernel/time.ts'
import type { Database } from '../../runtime/database.ts'
import type { LogField, StoredPrediction } from './columns.ts'
import { logFields, readLog } from './columns.ts'

const vectorFields = [
  'at',
  'requestId',
  'entity',
  'model',
  'version',
  'service',
  'serviceFingerprint',
  'asOf',
  'keys',
  'request',
  'features',
  'statuses',
  'reads',
  'snapshot',
] as const satisfies readonly LogField[]

/** One logged row, as far as its features can be computed again from it. */
export type LoggedVector = Pick<StoredPrediction, (typeof vectorFields)[number]>

export interface LoggedQuery {
  /** Epoch microseconds: logged from `since` on and before `until`. */
  readonly since: number
  readonly until: number
  /** Absent: of all models. */
  readonly model?: string
  /** Absent: of all versions. */
  readonly version?: number
  /** How many at most. */
  readonly limit: number
  /** `random`: any of them. `newest`: those that were logged last. */
  readonly order: 'random' | 'newest'
}

/** Without backfilled rows: their features were read from the history, so comparing them with it shows nothing. */
export async function readLoggedVectors(
  db: Pick<Database, 'query'>,
  { since, until, model, version, limit, order }: LoggedQuery,
): Promise<LoggedVector[]> {
  return await readLog(
    db,
    vectorFields,
    `WHERE prediction_log.at >= to_timestamp($1) AND prediction_log.at < to_timestamp($2)
       AND ($3::text IS NULL OR prediction_log.model = $3) AND ($5::int IS NULL OR prediction_log.version = $5)
       AND prediction_log.role IS DISTINCT FROM 'backfill'
     ORDER BY ${order === 'random' ? 'random()' : 'prediction_log.at DESC'} LIMIT $4`,
    [since / 1e6, until / 1e6, model ?? null, limit, version ?? null],
  )
}

/** What lists leave out: what only parity checks, erasures and receipts need. */
type Internal = 'serviceFingerprint' | 'entities' | 'snapshot' | 'stages'
const internal: readonly LogField[] = ['serviceFingerprint', 'entities', 'snapshot', 'stages'] satisfies Internal[]

/** A row of the log, as people read it. `at` and `asOf` are RFC 3339, to the microsecond. */
export interface ListedPrediction extends Omit<StoredPrediction, Internal | 'at' | 'asOf'> {
  readonly at: string
  readonly asOf: string
}

export interface ListQuery {
  /** Epoch microseconds: logged from then on. */
  readonly since: number
  /** Epoch microseconds: logged until then. */
  readonly until?: number
  readonly model?: string
  readonly requestId?: string
  readonly predictionId?: string
  readonly limit: number
}

export const maxListedPredictions = 10_000

/** Newest first; the entities of a request in their order. */
export async function listPredictions(
  db: Pick<Database, 'query'>,
  { since, until, model, requestId, predictionId, limit }: ListQuery,
): Promise<ListedPrediction[]> {
  const rows = await readLog(
    db,
    logFields.filter((field) => !internal.includes(field)),
    `WHERE prediction_log.at >= to_timestamp($1) AND ($2::text IS NULL OR prediction_log.model = $2)
       AND ($3::text IS NULL OR prediction_log.request_id = $3) AND ($4::text IS NULL OR prediction_log.prediction_id = $4)
       AND ($6::float8 IS NULL OR prediction_log.at <= to_timestamp($6))
     ORDER BY prediction_log.at DESC, prediction_log.request_id, prediction_log.entity LIMIT $5`,
    [since / 1e6, model ?? null, requestId ?? null, predictionId ?? null, limit, until === undefined ? null : until / 1e6],
  )
  return rows.map((row) => ({ ...row, at: formatTimestamp(row.at), asOf: formatTimestamp(row.asOf) }))
}

/** How long the stages of a logged request took, microseconds by index of `loggedStages`; null: not measured. */
export async function readStages(
  db: Pick<Database, 'query'>,
  { at, requestId, version }: Pick<ListedPrediction, 'at' | 'requestId' | 'version'>,
): Promise<readonly number[] | null> {
  const [row] = await readLog(
    db,
    ['stages'],
    'WHERE prediction_log.at = $1 AND prediction_log.request_id = $2 AND prediction_log.version = $3 LIMIT 1',
    [at, requestId, version],
  )
  return row?.stages ?? null
}

export interface EntityQuery {
  /** Of the entity: key columns of the service, as the log has them. */
  readonly keys: Readonly<Record<string, unknown>>
  /** Those that are read for these keys, each as `loggedEntity`: the log has an index of them. */
  readonly entities: readonly Buffer[]
  /** The moments that the predictions hold for, epoch microseconds. */
  readonly from: number
  readonly to: number
  readonly limit: number
}

const hourMicros = 3_600_000_000

/**
 * What was answered about an entity, as of moments in a window; newest first. The last hour is read first: a busy
 * entity has enough rows in it, and its older rows would have to be read and sorted.
 */
export async function listPredictionsOf(
  db: Pick<Database, 'query'>,
  { keys, entities, from, to, limit }: EntityQuery,
): Promise<ListedPrediction[]> {
  const since = async (first: number): Promise<ListedPrediction[]> => {
    const rows = await readLog(
      db,
      logFields.filter((field) => !internal.includes(field)),
      // none was answered before the moment that it holds for, but for clocks that differ
      `WHERE prediction_log.at >= to_timestamp($1) - interval '1 hour' AND prediction_log.as_of >= to_timestamp($1)
         AND prediction_log.as_of <= to_timestamp($2) AND prediction_log.keys::jsonb @> $3::jsonb
         ${entities.length === 0 ? '' : 'AND prediction_log.entities && $5::bytea[]'}
       ORDER BY prediction_log.as_of DESC LIMIT $4`,
      [first / 1e6, to / 1e6, JSON.stringify(keys), limit, ...(entities.length === 0 ? [] : [entities])],
    )
    return rows.map((row) => ({ ...row, at: formatTimestamp(row.at), asOf: formatTimestamp(row.asOf) }))
  }
  const lastHour = to - hourMicros
  const newest = lastHour > from ? await since(lastHour) : []
  return newest.length === limit ? newest : await since(from)
}
