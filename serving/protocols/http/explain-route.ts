import { z } from 'zod'
import { explain } from '../../features/explain.ts'
import { requestedMoment } from '../../features/read-request.ts'
import { asOfSchema, nameSchema } from '../../features/request-schema.ts'
import { explainAnswer } from './response-schemas.ts'
import { readBody } from './body.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './call.ts'
import { jsonAnswer } from './call.ts'
import type { Route } from './route.ts'

const explainSchema = z
  .strictObject({
    service: nameSchema.optional().describe('A feature service: all its views are explained'),
    view: nameSchema.optional().describe('A feature view'),
    entity: z.record(z.string(), z.unknown()).describe('The key columns of the entity, by name'),
    asOf: asOfSchema,
    candidates: z.int().min(1).max(100).default(10).describe('The maximum number of rows of each kind'),
  })
  .meta({ oneOf: [{ required: ['service'] }, { required: ['view'] }] })

/** The route that explains values. */
export const explainRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/explain',
    scope: 'read',
    summary: 'Why the features of one entity have their values at a moment',
    description:
      'Shows for each feature the row that won, the rows that it beat and why, and for a window the time that it covers and what it counts. Reads the offline history.',
    tag: 'Features',
    body: explainSchema,
    example: { view: 'airport_delays', entity: { airport: 'ATL' }, asOf: '2001-06-30T12:00:00Z' },
    answer: explainAnswer,
    handle: answerExplain,
  },
]

async function answerExplain(
  call: Call,
  context: Pick<ServingContext, 'readCatalog' | 'explain' | 'clock' | 'defaultAsOf' | 'bodyLimitBytes'>,
): Promise<RouteAnswer> {
  const { service, view, entity, asOf, candidates } = await readBody(call, context.bodyLimitBytes, explainSchema)
  const moment = requestedMoment(context, asOf) ?? context.clock()
  const explained = await explain(context.readCatalog(), context.explain, { service, view, entity, asOf: moment, maxRows: candidates })
  return jsonAnswer({ ...explained, requestId: call.requestId })
}
