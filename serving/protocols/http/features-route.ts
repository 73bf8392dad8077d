import { z } from 'zod'
import type { FeatureContext } from '../../features/read-request.ts'
import { readEntities } from '../../features/read-request.ts'
import { afterSchema, asOfSchema, entitiesSchema, nameSchema, onUnavailableSchema } from '../../features/request-schema.ts'
import { featuresAnswer } from './response-schemas.ts'
import { readBody } from './body.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './call.ts'
import { featuresWriter, frontiersJson, maxIncluded, momentJson, typesJson } from './feature-members.ts'
import type { Route } from './route.ts'

const featuresSchema = z.strictObject({
  service: nameSchema.describe(
    'The feature service: a name, or a name and version such as flight_features@1. A bare name means the newest version that is ready',
  ),
  entities: entitiesSchema,
  asOf: asOfSchema,
  after: afterSchema,
  onUnavailable: onUnavailableSchema,
  include: z
    .array(z.enum(['eventTimes', 'frontiers', 'types']))
    .max(maxIncluded)
    .optional()
    .describe('Additional fields of the answer'),
})

/** What reads features. */
export const featureRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/features',
    scope: 'read',
    isHot: true,
    rowsIn: 'entities',
    summary: 'The features of a service for each entity, with the status of each value',
    tag: 'Features',
    body: featuresSchema,
    example: { service: 'flight_features', entities: [{ airport: 'ATL', distance: 594 }], include: ['eventTimes'] },
    answer: featuresAnswer,
    handle: answerFeatures,
  },
]

/**
 * `POST /v1/features`: the features of a service for each entity, with the status of each value. With `include:
 * ['frontiers']` the answer has `frontiers`, by online view (`{ "airport_delays@1": "8123+8125..8127" }`): the
 * transactions whose rows are in every value of the answer (`frontierText`), null where nothing is stored of any entity
 * asked for.
 */
async function answerFeatures(
  call: Call,
  context: FeatureContext & Pick<ServingContext, 'readCatalog' | 'bodyLimitBytes'>,
): Promise<RouteAnswer> {
  const body = await readBody(call, context.bodyLimitBytes, featuresSchema)
  const { requestId, deadline } = call
  const catalog = context.readCatalog()
  const service = catalog.service(body.service)
  const { entities, asOf, after, onUnavailable } = body
  const read = await readEntities(context, catalog, service, { requestId, entities, asOf, after, onUnavailable, deadline })
  const write = featuresWriter(service)
  const eventTimes = body.include?.includes('eventTimes') ?? false
  const results = read.rows.map(
    (row) =>
      `{"features":${write.features(row)},"statuses":${write.statuses(row)}${eventTimes ? `,"eventTimes":${write.eventTimes(row)}` : ''}}`,
  )
  const head = `{"service":${JSON.stringify(service.name)},"version":${service.version},"fingerprint":"${service.fingerprint}"`
  return {
    status: 200,
    body: `${head},${momentJson(read, requestId)}${frontiersJson(body.include, read)}${typesJson(body.include, service)},"results":[${results.join()}]}`,
  }
}
