import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import type { ServicePlan } from '../../../kernel/service-plan.ts'
import { formatTimestamp } from '../../../kernel/time.ts'
import { valueFromJson } from '../../../kernel/value-json.ts'
import type { Column, ValueType } from '../../../kernel/value-type.ts'
import { typeName } from '../../../kernel/value-type.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { pushedBy } from '../../features/read-your-writes.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import { createEntityParser } from '../../features/entity-parser.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import { requireTime } from '../../traffic/request-deadline.ts'
import type { FeatureRead } from '../../features/read-features.ts'
import { readFeatures } from '../../features/read-features.ts'
import type { OnUnavailable } from '../../features/fallback-policy.ts'
import { onUnavailable } from '../../features/fallback-policy.ts'
import { featuresAnswer } from './response-schemas.ts'
import { readBody } from './body.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './context.ts'
import { serviceValuesWriter } from './json.ts'
import { requestIdJson } from './request-id.ts'
import type { Route } from './route.ts'

/** Entities of one request at most: each takes its share of one turn of the event loop. */
export const maxEntities = 10_000

/** More than there are to include. */
export const maxIncluded = 10

/**
 * What must be an object is checked by the parser of the service, which names the entity: here zod would visit each.
 */
export const objectSchema = z.unknown().meta({ type: 'object', additionalProperties: true })

export const entitiesSchema = z
  .array(objectSchema)
  .min(1)
  .max(maxEntities)
  .describe('The entities to answer for, each an object with its key columns and the request data that the service takes')
/** A moment, whose years 1700 to 2199 are all within what is taken. */
export const momentSchema = z.string().meta({ format: 'date-time', pattern: String.raw`^(1[7-9]|2[01])\d\d-` })
export const asOfSchema = z
  .union([momentSchema, z.number()])
  .optional()
  .describe('The moment of all values, RFC 3339 or epoch microseconds. Default: now')
/** A token of a push, for documentation: `landings~0+8123`. */
const tokenSchema = z.string().meta({ pattern: String.raw`^.+~\d+(\+\d+(\.\.\d+)?(,\d+(\.\.\d+)?)*)?$` })
/** Tokens of pushes that the answer is to hold. */
export const afterSchema = z
  .union([tokenSchema.transform((token) => [token]), z.array(tokenSchema).max(100)])
  .optional()
  .describe('Tokens that pushes answered with: the answer waits until it holds those events')

export const onUnavailableSchema = z
  .enum(onUnavailable)
  .optional()
  .describe('What to answer while the online store cannot be read: an error, stale values, or defaults. The last two are flagged')

/** The name of a definition, with a version behind an @ where one is meant. */
export const nameSchema = z.string().min(1)

const featuresSchema = z.strictObject({
  service: nameSchema.describe(
    'The feature service: a name, or a name and version such as flight_features@1. A name alone is the newest version that is ready',
  ),
  entities: entitiesSchema,
  asOf: asOfSchema,
  after: afterSchema,
  onUnavailable: onUnavailableSchema,
  include: z
    .array(z.enum(['eventTimes', 'frontiers', 'types']))
    .max(maxIncluded)
    .optional()
    .describe('What the answer has beside values and statuses'),
})

const parserOf = memoizeWeak(createEntityParser)
export const writerOf = memoizeWeak((service: ServicePlan) => serviceValuesWriter(service.features))

/** What reads features. */
export const featureRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/features',
    scope: 'read',
    summary: 'The features of a service for each entity, with the status of each value',
    tag: 'Features',
    body: featuresSchema,
    example: { service: 'flight_features', entities: [{ airport: 'ATL', distance: 594 }], include: ['eventTimes'] },
    answer: featuresAnswer,
    handle: answerFeatures,
  },
]

/**
 * `POST /v1/features`: the features of a service for each entity, with the status of each value. With `include: ['frontiers']` the answer has
 * `frontiers`, by online view (`{ "airport_delays@1": "8123+8125..8127" }`): the transactions whose rows are in every value of the answer (`frontierText`), null
 * where nothing is stored of any entity asked for.
 */
async function answerFeatures(call: Call, deps: ServingContext): Promise<RouteAnswer> {
  const body = await readBody(call, deps.bodyLimitBytes, featuresSchema)
  const now = deps.clock()
  const catalog = deps.readCatalog()
  const service = catalog.service(body.service)
  const read = await readEntities(deps, catalog, service, body, now, call.deadline)
  if (call.deadline !== undefined) requireTime(call.deadline)
  const write = writerOf(service)
  const eventTimes = body.include?.includes('eventTimes') ?? false
  const results = read.rows.map(
    (row) =>
      `{"features":${write.features(row)},"statuses":${write.statuses(row)}${eventTimes ? `,"eventTimes":${write.eventTimes(row)}` : ''}}`,
  )
  const head = `{"service":${JSON.stringify(service.name)},"version":${service.version},"fingerprint":"${service.fingerprint}"`
  return {
    status: 200,
    body: `${head},${momentJson(call, deps, service, read)}${frontiersJson(body.include, read)}${typesJson(body.include, service)},"results":[${results.join()}]}`,
  }
}

/**
 * Parses the entities and reads their features at the moment that the request asks for, or the server's default, or now.
 *
 * @param neededMs how long what comes after is going to take: with a tenth of the time allowed it is left for what is answered while the online store is away
 */
export function readEntities(
  deps: ServingContext,
  catalog: Catalog,
  service: ServicePlan,
  body: {
    readonly entities: readonly unknown[]
    readonly asOf?: string | number | undefined
    readonly after?: readonly string[] | undefined
    readonly onUnavailable?: OnUnavailable | undefined
  },
  now: number,
  deadline?: RequestDeadline,
  neededMs = 0,
): Promise<FeatureRead> {
  const asked = body.asOf === undefined ? deps.defaultAsOf : readMoment(body.asOf)
  const entities = body.entities.map(parserOf(service))
  const policy = body.onUnavailable ?? deps.onUnavailable
  return readFeatures(deps.reader(catalog), service, entities, {
    asOf: asked ?? now,
    asked: asked !== null,
    onUnavailable: policy,
    deadline,
    ...(policy === 'error' || deadline === undefined ? {} : { giveUpAt: deadline.at - deadline.limitMs / 10 - neededMs }),
    ...(body.after === undefined ? {} : { pushed: pushedBy(body.after, catalog.sources) }),
  })
}

/** The members that say when an answer holds and which request it answers. They are logged too. */
export function momentJson(call: Call, deps: ServingContext, service: ServicePlan, read: FeatureRead): string {
  const requestId = call.requestId
  if (deps.log.isLevelEnabled('debug')) {
    deps.log.debug(
      {
        requestId,
        service: service.id,
        asOf: read.asOf,
        entities: read.rows.length,
        skewed: read.skewed,
        fromHistory: read.fromHistory,
        frontiers: Object.fromEntries(read.frontiers()),
      },
      'features were read',
    )
  }
  return `"asOf":"${formatTimestamp(read.asOf)}"${read.skewed ? ',"skewed":true' : ''}${read.degraded ? degradedJson(read) : ''}${read.late.length > 0 ? `,"late":${JSON.stringify(read.late)}` : ''},"requestId":${requestIdJson(requestId)}`
}

function degradedJson({ staleMs }: FeatureRead): string {
  return `,"degraded":true${staleMs === null ? '' : `,"staleMs":${Math.ceil(staleMs)}`}`
}

/** The member `frontiers`, where the request asks for it. */
export function frontiersJson(include: readonly string[] | undefined, read: FeatureRead): string {
  return include?.includes('frontiers') ? `,"frontiers":${JSON.stringify(Object.fromEntries(read.frontiers()))}` : ''
}

const typesOf = memoizeWeak((service: ServicePlan) => typesText(service.features))

/** The member `types`, where the request asks for it: of each feature, so that a client reads it back exactly. */
export function typesJson(include: readonly string[] | undefined, service: ServicePlan): string {
  return include?.includes('types') === true ? `,"types":${typesOf(service)}` : ''
}

/** By name: `int64`, `list(string)`. */
export function typesText(columns: readonly Column<ValueType>[]): string {
  return JSON.stringify(Object.fromEntries(columns.map(({ name, type }) => [name, typeName(type)])))
}

/** The moment that a request names. @throws LockstepError `INVALID_TIME`, `INVALID_TYPE` */
export function readMoment(asOf: string | number): number {
  const moment = valueFromJson({ kind: 'timestamp' }, asOf, 'The field "asOf"')
  if (typeof asOf === 'number' && asOf >= 1e8 && asOf < 1e14) {
    throw new LockstepError(
      'INVALID_TIME',
      `The field "asOf" is ${asOf}, in microseconds a moment of the early seventies; from seconds or milliseconds make microseconds, or write it as 2001-07-01T00:00:00Z, as those times too.`,
    )
  }
  if (typeof moment === 'number') return moment
  throw new LockstepError('INVALID_TIME', 'The field "asOf" is not a time; write it as 2001-07-01T00:00:00Z or leave it out.')
}
