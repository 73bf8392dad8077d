import { z } from 'zod'
import type { Column } from '../../../../kernel/values/value-type.ts'
import { afterSchema, asOfSchema, entitiesSchema, nameSchema, onUnavailableSchema } from '../../../features/request-schema.ts'
import type { Caller, Predicted, PredictContext } from '../../../predict/predict.ts'
import { firstGroup } from '../../../predict/predict.ts'
import { predict } from '../../../predict/predict-routed.ts'
import { memoizeWeak } from '../../../../kernel/memoize-weak.ts'
import type { Prediction } from '../../../../inference/load-model.ts'
import { predictAnswer } from './predict-schemas.ts'
import { readBody } from '../request/body.ts'
import { requireScope } from '../../../traffic/authorize.ts'
import { callerOf } from './caller.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import type { BatchAnswers } from '../../../predict/batch-answers.ts'
import { readBatchAnswers } from '../../../predict/batch-answers.ts'
import { formatTimestamp } from '../../../../kernel/values/time.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import { featuresWriter, formatSchema, frontiersJson, maxIncluded, momentJson, typesJson, typesText } from '../features/feature-members.ts'
import { canSayAll, invalidWriter, recordWriter } from '../../../value-text.ts'
import { arrowType, jsonType, tableTypeFor } from '../request/media-type.ts'
import { versionSchema } from '../models/model-version-schema.ts'
import { predictColumns, predictionIdsJson } from './predict-columns.ts'
import type { Route } from '../route.ts'
import { allTypesJson, servedByJson, textsByRow } from './served-by.ts'

const predictSchema = z.strictObject({
  model: nameSchema.describe('The name of the model'),
  version: versionSchema.optional(),
  entities: entitiesSchema,
  asOf: asOfSchema,
  after: afterSchema,
  onUnavailable: onUnavailableSchema,
  from: z
    .enum(['live', 'batch'])
    .optional()
    .describe('batch: fresh predictions of the newest batch answer, and the model answers the other rows. Default: live'),
  format: formatSchema,
  include: z
    .array(z.enum(['features', 'eventTimes', 'frontiers', 'types']))
    .max(maxIncluded)
    .optional()
    .describe('Additional fields of the answer'),
})

type Include = z.output<typeof predictSchema>['include']

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
    alsoProduces: arrowType,
    handle: answerPredict,
  },
]

/**
 * `POST /v1/predict`: answers the model's declared outputs as `predictions`, in the order of the entities, by row or by
 * column (`format`), or as an Arrow stream where the client prefers that.
 *
 * An output that JSON cannot represent (NaN, an infinity) is null. If there is one, the answer also has
 * `outputStatuses` in the order of the entities, which names those outputs only:
 * `"predictions":[{"delay":null},{"delay":3}],"outputStatuses":[{"delay":"INVALID"},{}]`.
 */
async function answerPredict(call: Call, context: Answering): Promise<RouteAnswer> {
  const type = tableTypeFor(call.incoming.headers.accept)
  const body = await readBody(call, context.bodyLimitBytes, predictSchema)
  const { include, format, model, version, entities, asOf, after, onUnavailable } = body
  // the scope for predictions does not include the features that they are made from
  if (include?.some((each) => each === 'features' || each === 'eventTimes') === true) requireScope(call, 'read')
  const caller = callerOf(call)
  const found = body.from === 'batch' ? await answersOf(context, body, type) : null
  if (found !== null) return await answerFromBatch(context, call, body, found)
  const { deadline, span, place } = call
  const request = { model, version, entities, asOf, after, onUnavailable, caller, deadline, span, place }
  return await predict(context, request, (predicted) => {
    const head = headJson(predicted, include, caller)
    if (type === jsonType && format !== 'columns') return { status: 200, body: `${head}${membersJson(predicted, include, caller)}}` }
    return predictColumns(type, predicted, include ?? [], caller.predictionBase, head)
  })
}

type Answering = PredictContext & Pick<ServingContext, 'bodyLimitBytes' | 'upkeep'>
type PredictBody = z.output<typeof predictSchema>

/** @throws LockstepError `INVALID_REQUEST` where the request asks for what a batch does not keep */
async function answersOf(context: Answering, body: PredictBody, type: string): Promise<BatchAnswers | null> {
  const { model, version, entities, include } = body
  const fields = (['asOf', 'after'] as const).filter((field) => body[field] !== undefined)
  const [beyond] = [...fields, ...(include ?? []).filter((each) => each !== 'types')]
  if (beyond !== undefined)
    throw new LockstepError(
      'INVALID_REQUEST',
      `A batch keeps predictions only, so "from": "batch" cannot be combined with "${beyond}". Leave one out.`,
    )
  if (type !== jsonType || body.format === 'columns')
    throw new LockstepError(
      'INVALID_REQUEST',
      'With "from": "batch" the answer is JSON by row. Leave out the format and the Accept header.',
    )
  const tools = { models: context.models, store: context.upkeep.store, clock: context.clock }
  return await readBatchAnswers(tools, context.catalog(), model, version, entities)
}

/**
 * Rows without a fresh prediction are predicted; the answer has all rows in order, and says which came from a batch.
 */
async function answerFromBatch(
  context: Answering,
  call: Call,
  { model, version, entities, onUnavailable, include }: PredictBody,
  { version: served, outputs, rows }: BatchAnswers,
): Promise<RouteAnswer> {
  const caller = callerOf(call)
  const left = entities.filter((_, row) => rows[row] === null)
  const write = outputsWriter(outputs)
  const types = outputTypesJson(include, outputs)
  const body = (head: string, ids: readonly string[], live: readonly Prediction[]): RouteAnswer => {
    let next = 0
    const place = rows.map((row) => (row === null ? next++ : null))
    const predictions = rows.map((row, i) => row?.prediction ?? (live[place[i] ?? 0] as Prediction))
    const idsOfRows = place.map((at) => (at === null ? 'null' : JSON.stringify(ids[at])))
    const batches = rows.map((row) => (row === null ? 'null' : `{"id":${JSON.stringify(row.id)},"asOf":"${formatTimestamp(row.asOf)}"}`))
    const text = `"predictionIds":[${idsOfRows.join()}],"predictions":[${predictions.map(write).join()}]${outputStatusesJson(outputs, predictions)}`
    return { status: 200, body: `${head}${types},${text},"fromBatch":[${batches.join()}]}` }
  }
  if (left.length === 0) {
    const role = version === undefined ? 'champion' : 'requested'
    const read = { asOf: context.clock(), skewed: false, degraded: false, staleMs: null, late: [] }
    const head = `{"model":${JSON.stringify(served.model)},"version":${served.version},"service":"${served.service}","role":"${role}"`
    return body(`${head},${momentJson(read, caller.requestId)}`, [], [])
  }
  // the same version, whatever is promoted meanwhile
  const request = {
    model,
    version: version ?? served.version,
    entities: left,
    onUnavailable,
    caller,
    deadline: call.deadline,
    span: call.span,
    place: call.place,
  }
  return await predict(context, request, (predicted) => {
    const ids = JSON.parse(`[${predictionIdsJson(caller.predictionBase, left.length)}]`) as string[]
    return body(headJson(predicted, undefined, caller), ids, predicted.predictions)
  })
}

/** The members of all formats, without the closing brace. */
function headJson(predicted: Predicted, include: Include, caller: Caller): string {
  const { groups } = predicted
  const { model, read } = firstGroup(predicted)
  const { version, service, outputs } = model
  const own = groups.length === 1 ? `${frontiersJson(include, read)}${typesJson(include, service)}` : allTypesJson(include, groups)
  return `{"model":${JSON.stringify(version.model)},${servedByJson(groups, include)},${momentJson(predicted.read, caller.requestId)}${own}${outputTypesJson(include, outputs)}`
}

function outputTypesJson(include: Include, outputs: readonly Column[]): string {
  return include?.includes('types') === true ? `,"outputTypes":${outputTypesOf(outputs)}` : ''
}

function membersJson(predicted: Predicted, include: Include, caller: Caller): string {
  const { groups, predictions } = predicted
  const { outputs } = firstGroup(predicted).model
  let text = `,"predictionIds":[${predictionIdsJson(caller.predictionBase, predictions.length)}],"predictions":[${predictions.map(outputsWriter(outputs)).join()}]${outputStatusesJson(outputs, predictions)}`
  if (include?.includes('features')) {
    text += `,"features":[${textsByRow(groups, ({ model }) => featuresWriter(model.service).features).join()}]`
    text += `,"statuses":[${textsByRow(groups, ({ model }) => featuresWriter(model.service).statuses).join()}]`
  }
  if (include?.includes('eventTimes'))
    text += `,"eventTimes":[${textsByRow(groups, ({ model }) => featuresWriter(model.service).eventTimes).join()}]`
  return text
}

function outputStatusesJson(outputs: readonly Column[], predictions: readonly Prediction[]): string {
  return predictions.every(canSayAll) ? '' : `,"outputStatuses":[${predictions.map(invalidWriter(outputs)).join()}]`
}
