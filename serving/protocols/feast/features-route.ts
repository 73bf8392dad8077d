import { z } from 'zod'
import type { ServiceFeature, ServicePlan, ServiceRow } from '../../../kernel/service-plan.ts'
import { Status, statusNames } from '../../../kernel/states/state.ts'
import { formatTimestampFully } from '../../../kernel/values/time.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { isRecord } from '../../../kernel/is-record.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import type { FeatureContext } from '../../features/read-request.ts'
import { readEntities } from '../../features/read-request.ts'
import { maxEntities } from '../../features/request-schema.ts'
import { entityRows } from './entity-rows.ts'
import { requestedFeatures } from './requested-features.ts'
import { readBody } from '../http/request/body.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from '../http/call.ts'
import { joinedBody } from '../http/response/joined-body.ts'
import { columnWriter, eventTimesByUse, featureColumns } from '../http/features/value-columns.ts'

/** Fields that Feast has and that make no difference here are accepted too. */
export const onlineFeaturesSchema = z
  .object({
    entities: z
      .record(z.string(), z.array(z.unknown()).max(maxEntities))
      .describe('By column (a key, or request data): a value for each row. All columns have the same length'),
    feature_service: z.string().nullish().describe('The feature service, or a list of features instead'),
    features: z.array(z.string()).max(5000).nullish().describe('Features as "view:feature" or "view@v2:feature"'),
    full_feature_names: z.boolean().default(false).describe('Whether names in the answer are prefixed with the view: view__feature'),
    include_feature_view_version_metadata: z.boolean().default(false).describe('Whether the answer names the versions of the views'),
  })
  .meta({
    anyOf: [
      { required: ['feature_service'], properties: { feature_service: { type: 'string', minLength: 1 } } },
      { required: ['features'], properties: { features: { type: 'array', minItems: 1 } } },
    ],
  })

const statuses = z.enum(['INVALID', 'PRESENT', 'NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE'])
export const onlineFeaturesAnswer = z.object({
  metadata: z.object({
    feature_names: z.array(z.string()).describe('The entities as they were sent, then the features'),
    feature_view_metadata: z
      .array(z.object({ name: z.string().describe('The view'), version: z.int().describe('Its version') }))
      .optional(),
  }),
  results: z
    .array(
      z.object({
        values: z.array(z.unknown()).describe('The values'),
        statuses: z.array(statuses).describe('The status of the value'),
        event_timestamps: z.array(z.string()).describe('Event times, RFC 3339'),
      }),
    )
    .describe('In the order of the names: the entities as they were sent, then the features, each with one cell per row'),
})

const never = '"1970-01-01T00:00:00Z"'

/**
 * `POST /get-online-features`, column by column as Feast answers; with the statuses that Lockstep computes, ttl among
 * them.
 */
export async function answerOnlineFeatures(
  call: Call,
  context: FeatureContext & Pick<ServingContext, 'readCatalog' | 'bodyLimitBytes'>,
): Promise<RouteAnswer> {
  const { requestId, deadline, span, place } = call
  const asked = await readBody(call, context.bodyLimitBytes, onlineFeaturesSchema)
  const catalog = context.readCatalog()
  const { plan, names } = requestedFeatures(catalog, asked)
  const entities = entityRows(plan, catalog.entities, asked.entities)
  if (entities.length === 0 && plan.keys.length + plan.request.length > 0 && Object.keys(asked.entities).length === 0) {
    throw new LockstepError(
      'INVALID_ENTITY',
      `The request has no entities; send ${[...plan.keys, ...plan.request].map(({ name }) => `"${name}"`).join(', ')}, each with a list of values.`,
    )
  }
  const { rows, degraded, staleMs, late } = await readEntities(context, catalog, plan, { requestId, entities, deadline, span, place })
  const sent = Object.entries(asked.entities)
  const viewVersions = asked.include_feature_view_version_metadata ? { feature_view_metadata: viewsOf(plan.features) } : {}
  const metadata = { feature_names: [...sent.map(([name]) => name), ...names], ...viewVersions }
  const head = `{"metadata":${JSON.stringify(metadata)},"results":[`
  const vectors = [...sent.map(([name, values]) => sentVector(name, values)), ...featureVectors(plan, rows)]
  const body = joinedBody([head, ...vectors.flatMap((vector, v) => (v === 0 ? vector : [',', ...vector])), ']}'])
  // the shape has no place for it
  const flags = {
    ...(degraded ? { 'lockstep-degraded': 'true' } : {}),
    ...(degraded && staleMs !== null ? { 'lockstep-stale-ms': String(Math.ceil(staleMs)) } : {}),
    ...(late.length > 0 ? { 'lockstep-late': late.join() } : {}),
  }
  return { status: 200, body, headers: flags }
}

const writersOf = memoizeWeak((plan: ServicePlan) => plan.features.map(({ type }) => columnWriter(type)))

/** The texts of each feature. */
function featureVectors(plan: ServicePlan, rows: readonly ServiceRow[]): string[][] {
  const writers = writersOf(plan)
  const times = eventTimesByUse(plan, rows).map((ofUse) => ofUse.map(timeText).join())
  const none = repeated(never, rows.length)
  const statusesText = createStatusesText(rows.length)
  // what follows the values is the same for most features of a read
  let last = { use: -1 as number | null, codes: '', rest: '' }
  return featureColumns(plan, rows).map(({ values, statuses }, f) => {
    const { use } = plan.features[f] as ServiceFeature
    const codes = statusesText(statuses)
    if (last.use !== use || last.codes !== codes) last = { use, codes, rest: restOf(codes, use === null ? none : (times[use] ?? none)) }
    return ['{"values":', (writers[f] as (typeof writers)[number])(values), last.rest]
  })
}

/** Texts of statuses. Features of one window mostly have the same, so the last text is kept. */
function createStatusesText(rows: number): (statuses: readonly Status[] | null) => string {
  const present = repeated('"PRESENT"', rows)
  let last: readonly Status[] = []
  let text = ''
  return (statuses) => {
    if (statuses === null) return present
    if (text === '' || statuses.some((status, row) => status !== last[row])) text = statuses.map((status) => statusTexts[status]).join()
    last = statuses
    return text
  }
}

function restOf(statuses: string, times: string): string {
  // a text that is joined is flat, so it is copied at once
  return [',"statuses":[', statuses, '],"event_timestamps":[', times, ']}'].join('')
}

function sentVector(name: string, values: readonly unknown[]): string[] {
  const texts = values.map((value) => sentText(name, value)).join()
  return [`{"values":[${texts}]`, restOf(repeated('"PRESENT"', values.length), repeated(never, values.length))]
}

/** The elements of an array that are all equal. */
function repeated(text: string, count: number): string {
  return count === 0 ? '' : `${text},`.repeat(count - 1) + text
}

/**
 * As it was sent, integers beyond 2^53 too. Fields that are not used may hold anything: no type of Lockstep nests
 * arrays or objects.
 */
function sentText(column: string, value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (isNested(value) && Object.values(value).some(isNested)) {
    throw new LockstepError(
      'INVALID_ENTITY',
      `The entity column "${column}" has a value with arrays or objects in it; send plain values.`,
      { details: { field: column } },
    )
  }
  if (typeof value !== 'object') return JSON.stringify(value)
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner))
}

/** An object or an array. */
function isNested(value: unknown): value is object {
  return isRecord(value) || Array.isArray(value)
}

/** Feast has no status for a store that is down. INVALID keeps clients from using the default. */
const statusTexts = statusNames.map((name, status) => `"${status === Status.unavailable ? statusNames[Status.invalid] : name}"`)

/** Older Pythons read no other number of decimals than six or none. */
function timeText(micros: number | null): string {
  return micros === null ? never : `"${formatTimestampFully(micros)}"`
}

function viewsOf(features: readonly { readonly view: string }[]): { name: string; version: number }[] {
  return [...new Set(features.map(({ view }) => view))].map((view) => {
    const at = view.lastIndexOf('@')
    return { name: view.slice(0, at), version: Number(view.slice(at + 1)) }
  })
}
