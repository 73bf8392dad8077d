import { z } from 'zod'
import { LockstepError } from '../../kernel/errors.ts'
import { jsonOrNull } from '../../kernel/json-or-null.ts'
import { formatTimestamp, hourMicros } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
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
  readonly model?: string | undefined
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

/** The fields that only parity checks, erasures and receipts need. Lists leave them out. */
type Internal = 'serviceFingerprint' | 'entities' | 'snapshot' | 'stages'
const internal: readonly LogField[] = ['serviceFingerprint', 'entities', 'snapshot', 'stages'] satisfies Internal[]
const listedFields = logFields.filter((field) => !internal.includes(field))

/** A row of the log, as people read it. `at` and `asOf` are RFC 3339, to the microsecond. */
export interface ListedPrediction extends Omit<StoredPrediction, Internal | 'at' | 'asOf'> {
  readonly at: string
  readonly asOf: string
}

function listed(row: Omit<StoredPrediction, Internal>): ListedPrediction {
  return { ...row, at: formatTimestamp(row.at), asOf: formatTimestamp(row.asOf) }
}

export interface ListQuery {
  /** Epoch microseconds: logged from then on. */
  readonly since: number
  /** Epoch microseconds: logged until then. */
  readonly until?: number | undefined
  readonly model?: string | undefined
  readonly requestId?: string | undefined
  readonly predictionId?: string | undefined
  /** Only those after this one. */
  readonly after?: PredictionPlace | undefined
  readonly limit: number
}

/** The place of a prediction in the list. */
type PredictionPlace = Pick<ListedPrediction, 'at' | 'requestId' | 'entity' | 'predictionId'>

export const maxListedPredictions = 10_000

/** Newest first; the entities of a request in their order. */
export async function listPredictions(
  db: Pick<Database, 'query'>,
  { since, until, model, requestId, predictionId, after, limit }: ListQuery,
): Promise<ListedPrediction[]> {
  const rows = await readLog(
    db,
    listedFields,
    `WHERE prediction_log.at >= to_timestamp($1) AND ($2::text IS NULL OR prediction_log.model = $2)
       AND ($3::text IS NULL OR prediction_log.request_id = $3) AND ($4::text IS NULL OR prediction_log.prediction_id = $4)
       AND ($6::float8 IS NULL OR prediction_log.at <= to_timestamp($6))
       ${after === undefined ? '' : `AND prediction_log.at <= $7::timestamptz AND (prediction_log.at < $7::timestamptz OR (${place}) > ($8, $9::int, $10))`}
     ORDER BY prediction_log.at DESC, ${place} LIMIT $5`,
    [
      since / 1e6,
      model ?? null,
      requestId ?? null,
      predictionId ?? null,
      limit,
      until === undefined ? null : until / 1e6,
      ...(after === undefined ? [] : [after.at, after.requestId, after.entity, after.predictionId ?? '']),
    ],
  )
  return rows.map(listed)
}

/** Orders the predictions of one moment. A shadow has the request and the entity of the answer. */
const place = `prediction_log.request_id, prediction_log.entity, coalesce(prediction_log.prediction_id, '')`

export interface PredictionPage {
  readonly predictions: readonly ListedPrediction[]
  /** The cursor of the next page; null: there are no more. */
  readonly next: string | null
}

/**
 * A page of the list.
 *
 * @param cursor `next` of the page before
 * @throws LockstepError `INVALID_REQUEST` for a cursor that no page gave
 */
export async function listPredictionPage(
  db: Pick<Database, 'query'>,
  query: Omit<ListQuery, 'after'> & { readonly cursor?: string | undefined },
): Promise<PredictionPage> {
  const { cursor, limit, ...asked } = query
  const after = cursor === undefined ? undefined : placeOf(cursor)
  const rows = await listPredictions(db, { ...asked, after, limit: limit + 1 })
  const predictions = rows.slice(0, limit)
  const last = predictions.at(-1)
  return { predictions, next: rows.length <= limit || last === undefined ? null : cursorOf(last) }
}

const placeSchema = z.tuple([
  z.iso.datetime(),
  z.string(),
  z
    .int()
    .min(0)
    .max(2 ** 31 - 1),
  z.string().nullable(),
])

function cursorOf({ at, requestId, entity, predictionId }: PredictionPlace): string {
  return Buffer.from(JSON.stringify([at, requestId, entity, predictionId])).toString('base64url')
}

function placeOf(cursor: string): PredictionPlace {
  const parsed = placeSchema.safeParse(jsonOrNull(Buffer.from(cursor, 'base64url').toString()))
  if (!parsed.success || cursor === '')
    throw new LockstepError('INVALID_REQUEST', `"${cursor}" is no cursor of predictions. Send "next" of the previous page.`)
  const [at, requestId, entity, predictionId] = parsed.data
  return { at, requestId, entity, predictionId }
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
  /** The key of the entity: key columns of the service, as in the log. */
  readonly keys: Readonly<Record<string, unknown>>
  /** The entities that are read for these keys, each as `loggedEntity`. The log has an index of them. */
  readonly entities: readonly Buffer[]
  /** The moments that the predictions hold for, epoch microseconds. */
  readonly from: number
  readonly to: number
  readonly limit: number
}

/**
 * The answers about an entity, as of moments in a window; newest first. The last hour is read first: a busy
 * entity has enough rows in it, and its older rows would have to be read and sorted.
 */
export async function listPredictionsOf(
  db: Pick<Database, 'query'>,
  { keys, entities, from, to, limit }: EntityQuery,
): Promise<ListedPrediction[]> {
  const since = async (first: number): Promise<ListedPrediction[]> => {
    const rows = await readLog(
      db,
      listedFields,
      // none was answered before the moment that it holds for, but for clocks that differ
      `WHERE prediction_log.at >= to_timestamp($1) - interval '1 hour' AND prediction_log.as_of >= to_timestamp($1)
         AND prediction_log.as_of <= to_timestamp($2) AND prediction_log.keys::jsonb @> $3::jsonb
         ${entities.length === 0 ? '' : 'AND prediction_log.entities && $5::bytea[]'}
       ORDER BY prediction_log.as_of DESC LIMIT $4`,
      [first / 1e6, to / 1e6, JSON.stringify(keys), limit, ...(entities.length === 0 ? [] : [entities])],
    )
    return rows.map(listed)
  }
  const lastHour = to - hourMicros
  const newest = lastHour > from ? await since(lastHour) : []
  return newest.length === limit ? newest : await since(from)
}
