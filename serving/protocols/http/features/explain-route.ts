import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import { explainPrediction } from '../../../features/explain-prediction.ts'
import type { ReadExplanation } from '../../../features/explain.ts'
import { explain } from '../../../features/explain.ts'
import { requestedMoment } from '../../../features/read-request.ts'
import { asOfSchema, nameSchema } from '../../../features/request-schema.ts'
import { explainAnswer } from './explain-schemas.ts'
import { jsonAnswer } from '../call.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const explainSchema = z
  .strictObject({
    service: nameSchema.optional().describe('A feature service: all its views are explained'),
    view: nameSchema.optional().describe('A feature view'),
    prediction: z.string().optional().describe('The id of a logged prediction: its service, entity and moment'),
    entity: z.record(z.string(), z.unknown()).optional().describe('The key columns of the entity, by name; not for a prediction'),
    asOf: asOfSchema,
    candidates: z.int().min(1).max(100).default(10).describe('The maximum number of rows of each kind'),
  })
  .meta({ oneOf: [{ required: ['service'] }, { required: ['view'] }, { required: ['prediction'] }] })

/** The route that explains values. */
export const explainRoutes: readonly Route[] = [
  checkedRoute({
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
    async handle(call, deps, { body }) {
      const { service, view, prediction, entity, asOf, candidates } = body
      const read: ReadExplanation = (plan, key, asked) => deps.explain(plan, key, asked, call.place)
      if (prediction !== undefined) {
        const other = (['service', 'view', 'entity', 'asOf'] as const).find((field) => body[field] !== undefined)
        if (other !== undefined)
          throw new LockstepError('INVALID_REQUEST', `A "prediction" has its own service, entity and moment; remove "${other}".`)
        const asked = { prediction, maxRows: candidates }
        const found = await explainPrediction(deps.upkeep.database(), deps.readCatalog(), read, asked)
        return jsonAnswer(call, found)
      }
      if (entity === undefined)
        throw new LockstepError('INVALID_REQUEST', 'The request has no "entity"; send its key columns, as in {"airport": "ATL"}.')
      const moment = requestedMoment(deps, asOf) ?? deps.clock()
      const explained = await explain(deps.readCatalog(), read, { service, view, entity, asOf: moment, maxRows: candidates })
      return jsonAnswer(call, explained)
    },
  }),
]
