import { z } from 'zod'
import { predictionIdPrefix } from '../../../monitoring/prediction-log/prediction-id.ts'
import type { Column } from '../../../kernel/value-type.ts'
import { Status, statusNames } from '../../../kernel/state.ts'
import type { ModelVersion } from '../../../registry/model-versions.ts'
import { afterSchema, asOfSchema, entitiesSchema, nameSchema, onUnavailableSchema } from '../../features/request-schema.ts'
import type { Caller, Predicted, PredictContext } from '../../predict/predict.ts'
import { onlyGroup, predict } from '../../predict/predict.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import type { Prediction } from '../../../inference/load-model.ts'
import { predictAnswer } from './response-schemas.ts'
import { readBody } from './body.ts'
import { requireScope } from '../../traffic/authorize.ts'
import { callerOf } from './caller.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './call.ts'
import { featuresWriter, frontiersJson, maxIncluded, momentJson, typesJson, typesText } from './feature-members.ts'
import { canSayAll, jsonCanSay, recordWriter } from './json.ts'
import { versionSchema } from './model-version-schema.ts'
import { requestIdJson } from '../../traffic/request-id.ts'
import type { Route } from './route.ts'

const predictSchema = z.strictObject({
  model: nameSchema.describe('The name of the model'),
  version: versionSchema.optional(),
  entities: entitiesSchema,
  asOf: asOfSchema,
  after: afterSchema,
  onUnavailable: onUnavailableSchema,
  include: z
    .array(z.enum(['features', 'eventTimes', 'frontiers', 'types']))
    .max(maxIncluded)
    .optional()
    .describe('Additional fields of the answer'),
})

const headOf = memoizeWeak(
  ({ model, version, service }: ModelVersion) => `{"model":${JSON.stringify(model)},"version":${version},"service":"${service}"`,
)
const outputTypesOf = memoizeWeak((outputs: readonly Column[]) => typesText(outputs))
const outputsWriter = memoizeWeak((outputs: readonly Column[]) => recordWriter(outputs))

/** The route for predictions. */
export const predictRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/predict',
    scope: 'predict',
    isHot: true,
    rowsIn: 'entities',
    summary: "A model's answer for each entity",
    tag: 'Predictions',
    body: predictSchema,
    example: { model: 'delay', entities: [{ airport: 'ATL', distance: 594 }] },
    answer: predictAnswer,
    handle: answerPredict,
  },
]

/**
 * `POST /v1/predict`: answers the model's declared outputs as `predictions`, in the order of the entities.
 *
 * An output that JSON cannot represent (NaN, an infinity) is null. If there is one, the answer also has
 * `outputStatuses` in the order of the entities, which names those outputs only:
 * `"predictions":[{"delay":null},{"delay":3}],"outputStatuses":[{"delay":"INVALID"},{}]`.
 */
async function answerPredict(call: Call, context: PredictContext & Pick<ServingContext, 'bodyLimitBytes'>): Promise<RouteAnswer> {
  const { include, model, version, entities, asOf, after, onUnavailable } = await readBody(call, context.bodyLimitBytes, predictSchema)
  // the scope for predictions does not include the features that they are made from
  if (include?.some((each) => each === 'features' || each === 'eventTimes') === true) requireScope(call, 'read')
  const caller = callerOf(call)
  const request = { model, version, entities, asOf, after, onUnavailable, caller, deadline: call.deadline }
  return await predict(context, request, (predicted) => ({ status: 200, body: bodyOf(predicted, include, caller) }))
}

function bodyOf(predicted: Predicted, include: z.output<typeof predictSchema>['include'], caller: Caller): string {
  const { predictions } = predicted
  const { model, read } = onlyGroup(predicted)
  const { version, service, outputs } = model
  let text = `${headOf(version)},${momentJson(predicted.read, caller.requestId)}${frontiersJson(include, read)}`
  if (include?.includes('types')) text += `${typesJson(include, service)},"outputTypes":${outputTypesOf(outputs)}`
  text += `,"predictionIds":[${predictionIdsJson(caller.predictionBase, predictions.length)}],"predictions":[${predictions.map(outputsWriter(outputs)).join()}]${outputStatusesJson(outputs, predictions)}`
  if (include?.includes('features')) {
    const { features, statuses } = featuresWriter(service)
    text += `,"features":[${read.rows.map(features).join()}],"statuses":[${read.rows.map(statuses).join()}]`
  }
  if (include?.includes('eventTimes')) text += `,"eventTimes":[${read.rows.map(featuresWriter(service).eventTimes).join()}]`
  return `${text}}`
}

function predictionIdsJson(base: string, rows: number): string {
  const prefix = predictionIdPrefix(requestIdJson(base).slice(0, -1))
  let ids = `${prefix}0"`
  for (let row = 1; row < rows; row++) ids += `,${prefix}${row}"`
  return ids
}

function outputStatusesJson(outputs: readonly Column[], predictions: readonly Prediction[]): string {
  return predictions.every(canSayAll) ? '' : `,"outputStatuses":[${predictions.map(invalidWriter(outputs)).join()}]`
}

/** Names the outputs that JSON cannot represent. */
const invalidWriter = memoizeWeak((outputs: readonly Column[]) => {
  const members = outputs.map(({ name }) => `${JSON.stringify(name)}:"${statusNames[Status.invalid]}"`)
  return (prediction: Prediction) => `{${members.filter((_, o) => !jsonCanSay(prediction[o] ?? null)).join()}}`
})
