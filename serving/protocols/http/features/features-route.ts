import { z } from 'zod'
import type { ServicePlan } from '../../../../kernel/service-plan.ts'
import { tracedNow } from '../../../../runtime/tracing/span.ts'
import type { FeatureContext } from '../../../features/read-request.ts'
import { readEntities } from '../../../features/read-request.ts'
import type { FeatureRead } from '../../../features/read-features.ts'
import { afterSchema, asOfSchema, entitiesSchema, nameSchema, onUnavailableSchema } from '../../../features/request-schema.ts'
import { featuresAnswer } from './feature-schemas.ts'
import { readBody } from '../request/body.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { arrowStream } from '../../../../runtime/arrow/arrow-stream.ts'
import {
  featureArrowFields,
  featureColumnsWriter,
  featuresWriter,
  formatSchema,
  frontiersJson,
  maxIncluded,
  momentJson,
  typesJson,
} from './feature-members.ts'
import { joinedBody } from '../response/joined-body.ts'
import { arrowType, jsonType, tableTypeFor } from '../request/media-type.ts'
import type { Route } from '../route.ts'
import { eventTimesJson, featureColumns, featureEventTimes, statusesJson } from './value-columns.ts'

const featuresSchema = z.strictObject({
  service: nameSchema.describe(
    'The feature service: a name, or a name and version such as flight_features@1. A bare name means the newest version that is ready',
  ),
  entities: entitiesSchema,
  asOf: asOfSchema,
  after: afterSchema,
  onUnavailable: onUnavailableSchema,
  format: formatSchema,
  include: z
    .array(z.enum(['eventTimes', 'frontiers', 'types']))
    .max(maxIncluded)
    .optional()
    .describe('Additional fields of the answer'),
})

/** The routes that read features. */
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
    alsoProduces: arrowType,
    handle: answerFeatures,
  },
]

/**
 * `POST /v1/features`: the features of a service for each entity, with the status of each value, by row or by column
 * (`format`), or as an Arrow stream where the client prefers that.
 *
 * With `include: ['frontiers']` the answer has `frontiers`, by online view (`{ "airport_delays@1":
 * "8123+8125..8127" }`): the transactions whose rows are in every value of the answer (`frontierText`), null where
 * nothing is stored of any entity asked for.
 */
async function answerFeatures(
  call: Call,
  context: FeatureContext & Pick<ServingContext, 'readCatalog' | 'bodyLimitBytes'>,
): Promise<RouteAnswer> {
  const type = tableTypeFor(call.incoming.headers.accept)
  const body = await readBody(call, context.bodyLimitBytes, featuresSchema)
  const { requestId, deadline, span, place } = call
  const catalog = context.readCatalog()
  const service = catalog.service(body.service)
  const { entities, asOf, after, onUnavailable } = body
  const read = await readEntities(context, catalog, service, { requestId, entities, asOf, after, onUnavailable, deadline, span, place })
  return tracedNow(span, 'encode', () => encode(type, service, read, body, requestId))
}

function encode(
  type: typeof jsonType | typeof arrowType,
  service: ServicePlan,
  read: FeatureRead,
  { format, include }: Pick<z.output<typeof featuresSchema>, 'format' | 'include'>,
  requestId: string,
): RouteAnswer {
  const head = `{"service":${JSON.stringify(service.name)},"version":${service.version},"fingerprint":"${service.fingerprint}",${momentJson(read, requestId)}${frontiersJson(include, read)}${typesJson(include, service)}`
  const eventTimes = include?.includes('eventTimes') ?? false
  if (type === jsonType && format !== 'columns') return { status: 200, body: `${head},"results":[${rowsJson(service, read, eventTimes)}]}` }
  return byColumn(type, service, read, eventTimes, head)
}

function rowsJson(service: ServicePlan, { rows }: FeatureRead, eventTimes: boolean): string {
  const write = featuresWriter(service)
  return rows
    .map(
      (row) =>
        `{"features":${write.features(row)},"statuses":${write.statuses(row)}${eventTimes ? `,"eventTimes":${write.eventTimes(row)}` : ''}}`,
    )
    .join()
}

function byColumn(
  type: typeof jsonType | typeof arrowType,
  service: ServicePlan,
  { rows }: FeatureRead,
  eventTimes: boolean,
  head: string,
): RouteAnswer {
  const columns = featureColumns(service, rows)
  const statuses = `"statuses":${statusesJson(service.features, columns)}`
  if (type === jsonType) {
    const times = eventTimes ? `,"eventTimes":${eventTimesJson(service, rows)}` : ''
    return { status: 200, body: joinedBody([head, ',"features":', ...featureColumnsWriter(service)(columns), `,${statuses}${times}}`]) }
  }
  const fields = featureArrowFields(service)
  const values = columns.map((column) => column.values)
  const stream = eventTimes
    ? arrowStream(fields.withEventTimes, [...values, ...featureEventTimes(service, rows)], rows.length, `${head},${statuses}}`)
    : arrowStream(fields.features, values, rows.length, `${head},${statuses}}`)
  return { status: 200, body: stream, contentType: arrowType }
}
