import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { listPredictionPage, maxListedPredictions } from '../../../../monitoring/prediction-log/read-predictions.ts'
import { jsonAnswer } from '../call.ts'
import { durationQuery } from '../request/check-query.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'

const query = z.object({
  model: z.string().optional().describe('Only predictions of this model'),
  request: z.string().optional().describe('Only predictions of this request'),
  prediction: z.string().optional().describe('Only the prediction with this id'),
  since: durationQuery().describe('How far back to look, such as 30m or 7d. Default: 1h'),
  limit: z.coerce.number().int().min(1).max(maxListedPredictions).optional().describe('The maximum number. Default: 20'),
  cursor: z.string().optional().describe('`next` of the previous answer, for the page after it'),
})
const byName = z.record(z.string(), z.unknown())

export const predictionsAnswer = z.object({
  predictions: z.array(
    z.looseObject({
      at: z.string().describe('When it was answered, RFC 3339'),
      requestId: z.string().describe('The id of the request'),
      predictionId: z.string().nullable().describe('null: of before predictions had ids'),
      entity: z.int().describe('The index of the entity in the request'),
      model: z.string().describe('The model'),
      version: z.int().describe('The version that answered'),
      role: z.string().nullable().describe('Why this version answered'),
      experiment: z.string().nullable().describe('The experiment that chose the version'),
      variant: z.string().nullable().describe('Its variant'),
      service: z.string().describe('The feature service'),
      asOf: z.string().describe('The moment that the features hold for, RFC 3339'),
      keys: byName.describe('The key columns'),
      request: byName.describe('The request data'),
      features: byName.describe('The features that the model took'),
      statuses: byName.describe('The statuses of features that are not PRESENT'),
      outputs: byName.describe('The outputs of the model'),
      latencyMicros: z.int().describe('How long the request took, microseconds'),
    }),
  ),
  next: z.string().nullable().describe('Send it as `cursor` to read the next page; null: there are no more'),
  requestId,
})

/** The log has keys of all entities, which a key of scope `read` cannot list elsewhere. */
export const predictionRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/predictions',
    scope: 'admin',
    summary: 'Logged predictions, newest first',
    tag: 'Monitoring',
    query,
    answer: predictionsAnswer,
    async handle(call, deps, { query: { model, request, prediction, since = '1h', limit = 20, cursor } }) {
      const page = await listPredictionPage(cancelOnDisconnect(call, deps.upkeep.database()).db, {
        since: deps.clock() - parseDuration(since, 'The parameter "since"'),
        limit,
        cursor,
        model,
        requestId: request,
        predictionId: prediction,
      })
      // reports a misspelt name as an error, not as an empty list; a model that was deleted may still have predictions
      if (model !== undefined && cursor === undefined && page.predictions.length === 0) deps.catalog().model(model)
      return jsonAnswer(call, page)
    },
  }),
]
