import { z } from 'zod'
import type { Column } from '../../../kernel/value-type.ts'
import { Status, statusNames } from '../../../kernel/state.ts'
import type { ModelVersion } from '../../../registry/model-versions.ts'
import type { FeatureRead } from '../../features/read-features.ts'
import type { ServedModel } from '../../models/model-host.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import type { Prediction } from '../../../inference/load-model.ts'
import { predictAnswer } from './response-schemas.ts'
import { requireTime } from '../../traffic/request-deadline.ts'
import { readBody } from './body.ts'
import { requireScope } from './authorize.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './context.ts'
import {
  afterSchema,
  asOfSchema,
  entitiesSchema,
  frontiersJson,
  maxIncluded,
  momentJson,
  nameSchema,
  readEntities,
  typesJson,
  typesText,
  onUnavailableSchema,
  writerOf,
} from './features-route.ts'
import { canSayAll, jsonCanSay, recordWriter } from './json.ts'
import { versionSchema } from './model-version-schema.ts'
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
    .describe('What the answer has beside the predictions'),
})

const headOf = memoizeWeak(
  ({ model, version, service }: ModelVersion) => `{"model":${JSON.stringify(model)},"version":${version},"service":"${service}"`,
)
const outputTypesOf = memoizeWeak((outputs: readonly Column[]) => typesText(outputs))
const outputsWriter = memoizeWeak((outputs: readonly Column[]) => recordWriter(outputs))

/** What predicts. */
export const predictRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/predict',
    scope: 'predict',
    summary: "A model's answer for each entity",
    tag: 'Predictions',
    body: predictSchema,
    example: { model: 'delay', entities: [{ airport: 'ATL', distance: 594 }] },
    answer: predictAnswer,
    handle: answerPredict,
  },
]

/**
 * `POST /v1/predict`: reads each entity's features, runs the model on them and answers its declared outputs, as `predictions` by index of the entities.
 *
 * An output that JSON cannot say (NaN, an infinity) is null. Only where there is one the answer has `outputStatuses`, by index of the entities too, which
 * names those outputs and no others: `"predictions":[{"delay":null},{"delay":3}],"outputStatuses":[{"delay":"INVALID"},{}]`. What `include` asks for
 * stands in `features` with `statuses`, `eventTimes` and `frontiers`, as `POST /v1/features` answers them.
 */
async function answerPredict(call: Call, deps: ServingContext): Promise<RouteAnswer> {
  const body = await readBody(call, deps.bodyLimitBytes, predictSchema)
  // what a model is asked says nothing of the features that it reads
  if (body.include?.some((each) => each === 'features' || each === 'eventTimes') === true) requireScope(call, 'read')
  const catalog = deps.catalog()
  return await deps.models.use(catalog, body.model, body.version, async ({ version, service, outputs, predict, predictedRunMs }) => {
    const { deadline } = call
    const runMs = deadline === undefined ? 0 : predictedRunMs(body.entities.length)
    if (deadline !== undefined) requireTime(deadline, runMs)
    const read = await readEntities(deps, catalog, service, body, deps.clock(), deadline, runMs)
    if (deadline !== undefined) requireTime(deadline, runMs)
    const answers = await predict(read.rows)
    return { status: 200, body: answered(call, deps, body, { version, service, outputs }, read, answers) }
  })
}

/** The answer, which is noted in the log too. By itself, as `answersOf` in online/read.ts. */
function answered(
  call: Call,
  deps: ServingContext,
  { include }: z.output<typeof predictSchema>,
  { version, service, outputs }: Pick<ServedModel, 'version' | 'service' | 'outputs'>,
  read: FeatureRead,
  answers: readonly Prediction[],
): string {
  let text = `${headOf(version)},${momentJson(call, deps, service, read)}${frontiersJson(include, read)}`
  if (include?.includes('types')) text += `${typesJson(include, service)},"outputTypes":${outputTypesOf(outputs)}`
  text += `,"predictions":[${answers.map(outputsWriter(outputs)).join()}]${outputStatusesJson(outputs, answers)}`
  if (include?.includes('features')) {
    const { features, statuses } = writerOf(service)
    text += `,"features":[${read.rows.map(features).join()}],"statuses":[${read.rows.map(statuses).join()}]`
  }
  if (include?.includes('eventTimes')) text += `,"eventTimes":[${read.rows.map(writerOf(service).eventTimes).join()}]`
  if (call.deadline !== undefined) requireTime(call.deadline)
  deps.predictionLog.note({
    requestId: call.requestId,
    predictionBase: call.requestId,
    model: version.model,
    version: version.version,
    service,
    outputs,
    read,
    predictions: answers,
    startedMs: call.startedMs,
    apiKey: call.principal,
  })
  return `${text}}`
}

function outputStatusesJson(outputs: readonly Column[], predictions: readonly Prediction[]): string {
  return predictions.every(canSayAll) ? '' : `,"outputStatuses":[${predictions.map(invalidWriter(outputs)).join()}]`
}

/** Names the outputs that JSON cannot say. */
const invalidWriter = memoizeWeak((outputs: readonly Column[]) => {
  const members = outputs.map(({ name }) => `${JSON.stringify(name)}:"${statusNames[Status.invalid]}"`)
  return (prediction: Prediction) => `{${members.filter((_, o) => !jsonCanSay(prediction[o] ?? null)).join()}}`
})
