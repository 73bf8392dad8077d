import { LockstepError } from '../../../kernel/errors.ts'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import { didYouMean } from '../../../kernel/did-you-mean.ts'
import { quotedNames } from '../../../kernel/values/quoted-names.ts'
import { withTimeout } from '../../../runtime/async.ts'
import type { Span } from '../../../runtime/tracing/span.ts'
import { traced } from '../../../runtime/tracing/span.ts'
import type { Place } from '../../traffic/place.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import { requireTime } from '../../traffic/request-deadline.ts'
import type { TensorValue } from '../../../inference/tensor-value.ts'
import type { ServedModel } from '../../models/load-version.ts'
import type { EntityRequest } from '../../features/read-request.ts'
import type { Caller, Predicted, PredictContext, PredictedGroup } from '../../predict/predict.ts'
import { firstGroup } from '../../predict/predict.ts'
import { predict } from '../../predict/predict-routed.ts'
import type { ServedAs } from '../../../monitoring/role.ts'
import { predictionIdPrefix } from '../../../monitoring/prediction-log/prediction-id.ts'
import { onUnavailable } from '../../features/fallback-policy.ts'
import { datatypeOf, onnxTypeOf } from './datatype.ts'
import { entitiesOf, entityColumns, outputTensors } from './entity-inputs.ts'
import type { InferAnswer, InferRequest, Parameters } from './infer-request.ts'
import { refuseUnsupported, textParameter, integerParameter } from './infer-request.ts'
import type { InferTensor } from './infer-tensor.ts'
import { tensorError } from './infer-tensor.ts'
import { useModel, wantedVersion } from './use-model.ts'
import { inputsOf, outputsOf } from './model-tensors.ts'

/** A timer takes no more, which is 24 days. */
const longestMs = 2 ** 31 - 1

/** The deadline, the span and the place of the request; undefined: none. */
interface InferLimits {
  readonly deadline: RequestDeadline | undefined
  readonly span: Span | undefined
  readonly place: Place | undefined
}

/**
 * Answers an infer call. Its inputs are the tensors of the model, or what its feature service takes for each entity:
 * then the features are read as for `POST /v1/predict`, and the outputs are those that the model declares.
 *
 * @throws LockstepError `INVALID_REQUEST`, `UNSUPPORTED`, `DEADLINE_EXCEEDED` after the parameter `timeout`, and what
 *   `predict` and the model throw
 */
export async function infer(
  context: PredictContext,
  request: InferRequest,
  caller: Caller,
  { deadline, span, place }: InferLimits,
): Promise<InferAnswer> {
  refuseUnsupported(request.parameters)
  integerParameter('priority', request.parameters) // no request waits for another, so priorities change nothing
  const micros = integerParameter('timeout', request.parameters)
  const startMs = performance.now()
  const timeoutError = () =>
    new LockstepError('DEADLINE_EXCEEDED', `The answer took longer than "timeout", ${micros} microseconds; raise it, or send fewer rows.`)
  const requireInTime = () => {
    if (micros > 0 && performance.now() - startMs >= micros / 1000) throw timeoutError()
  }
  refuseTwice(request.inputs.map((input) => input.name))
  refuseTwice(request.outputs ?? [])
  const answering = useModel(context, request.model, request.version, async (model, catalog) => {
    if (areTensorsOf(model, request.inputs)) {
      const outputs = await traced(span, 'run model', () => tensorOutputs(model, request, deadline))
      return answerTo(request, model.version, { outputs })
    }
    requireDeclared(model, request.outputs)
    const { inputs, version } = request
    const entities = entitiesOf(model.service, inputs)
    const asked = { model: request.model, version: wantedVersion(version), catalog, entities, ...readParameters(request.parameters) }
    return await predict(context, { ...asked, caller, deadline, span, place }, (predicted) => {
      requireInTime()
      const { model: name, version } = firstGroup(predicted).model.version
      const isOne = predicted.groups.length === 1
      return answerTo(request, { model: name, version: isOne ? version : null }, entityOutputs(predicted, request.outputs, caller))
    })
  })
  if (micros === 0) return await answering
  const answer = await withTimeout(answering, Math.min(micros / 1000, longestMs), timeoutError)
  // the timer of a busy process fires late
  requireInTime()
  return answer
}

function answerTo(
  { id }: InferRequest,
  { model, version }: Pick<InferAnswer, 'model' | 'version'>,
  answered: Pick<InferAnswer, 'outputs' | 'parameters'>,
): InferAnswer {
  return { model, version, ...(id === undefined ? {} : { id }), ...answered }
}

/**
 * Whether the inputs are the model's tensors, and not the entities of its feature service. If both have a name, it is
 * the model's as long as all inputs of the model are sent.
 *
 * @throws LockstepError `INVALID_REQUEST` if they are neither, or incomplete
 */
function areTensorsOf(model: ServedModel, inputs: readonly InferTensor[]): boolean {
  const given = inputs.map((input) => input.name)
  const tensors = inputsOf(model).map((input) => input.name)
  const entity = entityColumns(model.service).map((column) => column.name)
  if (given.length === tensors.length && tensors.every((name) => given.includes(name))) return true
  if (given.length > 0 && given.length === entity.length && entity.every((name) => given.includes(name))) return false
  const takes = `It takes its tensors (${quotedNames(tensors)})${entity.length === 0 ? '' : `, or the columns of its entities (${quotedNames(entity)})`}.`
  const stranger = given.find((name) => !tensors.includes(name) && !entity.includes(name))
  throw new LockstepError(
    'INVALID_REQUEST',
    stranger === undefined
      ? `The inputs are ${wrongInputs(given, tensors, entity)} for the model "${model.version.model}". ${takes}`
      : `The model "${model.version.model}" has no input "${stranger}".${didYouMean(stranger, [...tensors, ...entity])} ${takes}`,
    { details: { model: model.version.model, inputs: tensors, entity } },
  )
}

/** Says what is wrong with inputs that have known names. */
function wrongInputs(given: readonly string[], tensors: readonly string[], entity: readonly string[]): string {
  if (given.length === 0) return 'missing'
  const kind = [tensors, entity].find((names) => given.every((name) => names.includes(name)))
  if (kind === undefined) return `of both kinds (${quotedNames(given)})`
  return `only ${quotedNames(given)}, without ${quotedNames(kind.filter((name) => !given.includes(name)))},`
}

/** Runs the model on its own tensors: without its feature service, and without a line in the prediction log. */
async function tensorOutputs(
  model: ServedModel,
  { inputs, outputs }: InferRequest,
  deadline: RequestDeadline | undefined,
): Promise<InferTensor[]> {
  const feeds: Record<string, TensorValue> = {}
  const rows = inputs[0]?.shape[0]
  for (const { name, shape, datatype } of inputsOf(model)) {
    const input = inputs.find((each) => each.name === name) as InferTensor
    const is = `is ${input.datatype} of shape [${input.shape.join(', ')}]`
    const fits =
      input.shape.length === shape.length && input.shape.every((size, axis) => size > 0 && (shape[axis] === -1 || shape[axis] === size))
    if (input.datatype !== datatype || !fits)
      throw tensorError(name, `${is}, but the model takes ${datatype} of shape [${shape.join(', ')}]`)
    if (input.shape[0] !== rows)
      throw tensorError(name, `${is}, but the previous input has ${rows} rows; send the same number of rows in each`)
    feeds[name] = { type: onnxTypeOf(datatype), dims: input.shape, data: input.data }
  }
  const wanted = outputs ?? outputsOf(model).map((output) => output.name)
  requireTime(deadline, model.predictedRunMs(rows ?? 1))
  const results = await model.runTensors(feeds, wanted)
  return wanted.map((name) => {
    const { type, dims, data } = results[name] as TensorValue
    const datatype = datatypeOf(type)
    if (datatype !== null) return { name, datatype, shape: dims, data }
    throw new LockstepError(
      'UNSUPPORTED',
      `The output "${name}" is ${type}, for which the protocol has no datatype; request other outputs.`,
      {
        details: { output: name },
      },
    )
  })
}

/** @throws LockstepError `INVALID_REQUEST` for an output that the model does not declare */
function requireDeclared({ version, outputs }: ServedModel, wanted: readonly string[] = []): void {
  const declared = outputs.map((column) => column.name)
  const unknown = wanted.find((name) => !declared.includes(name))
  if (unknown === undefined) return
  throw new LockstepError(
    'INVALID_REQUEST',
    `The model "${version.model}" declares no output "${unknown}", and only declared outputs are answered for entities.${didYouMean(unknown, declared)} It declares ${quotedNames(declared)}.`,
    { details: { output: unknown, outputs: declared } },
  )
}

function entityOutputs(
  predicted: Predicted,
  wanted: readonly string[] | undefined,
  { predictionBase }: Caller,
): Pick<InferAnswer, 'outputs' | 'parameters'> {
  const { asOf, skewed, degraded, late, staleMs } = predicted.read
  const { outputs: columns } = firstGroup(predicted).model
  const tensors = outputTensors(columns, predicted.predictions)
  return {
    outputs: wanted === undefined ? tensors : wanted.flatMap((name) => tensors.find((tensor) => tensor.name === name) ?? []),
    parameters: {
      // a parameter is one value: an id for each row would be a list
      prediction_id_prefix: predictionIdPrefix(predictionBase),
      as_of: formatTimestamp(asOf),
      ...servedBy(predicted),
      ...(skewed ? { skewed: true } : {}),
      ...(degraded ? { degraded: true } : {}),
      ...(late.length > 0 ? { late: late.join() } : {}),
      ...(staleMs === null ? {} : { stale_ms: Math.ceil(staleMs) }),
    },
  }
}

/**
 * `role` where one version answered. Else `versions` and `roles`, a text for each row separated by commas, because a
 * parameter is one value.
 */
function servedBy({ groups, predictions }: Predicted): Parameters {
  const [only] = groups
  if (only !== undefined && groups.length === 1) return { role: only.role, ...experimentOf([only]), ...bypassedOf([only]) }
  const byRow = new Array<PredictedGroup | undefined>(predictions.length)
  for (const group of groups) for (const row of group.rows) byRow[row] = group
  const versions = byRow.map((group) => group?.model.version.version ?? '').join()
  return { versions, roles: byRow.map((group) => group?.role ?? '').join(), ...experimentOf(byRow), ...bypassedOf(byRow) }
}

/** The versions in whose place others answered. */
function bypassedOf(byRow: readonly (ServedAs | undefined)[]): Parameters {
  if (byRow.every((each) => each?.bypassed === undefined)) return {}
  return { bypassed: byRow.map((each) => each?.bypassed ?? '').join() }
}

function experimentOf(byRow: readonly (ServedAs | undefined)[]): Parameters {
  if (byRow.every((each) => (each?.experiment ?? null) === null)) return {}
  return {
    experiments: byRow.map((each) => each?.experiment ?? '').join(),
    variants: byRow.map((each) => each?.variant ?? '').join(),
  }
}

/** The parameters of a call that say what `POST /v1/predict` takes beside the entities. */
function readParameters(parameters: Parameters): Omit<EntityRequest, 'entities'> {
  const asOf = textParameter('as_of', parameters)
  const after = textParameter('after', parameters)
  const policy = textParameter('on_unavailable', parameters)
  const known = onUnavailable.find((each) => each === policy)
  if (policy !== undefined && known === undefined) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The parameter "on_unavailable" is "${policy}"; it must be one of ${quotedNames(onUnavailable)}.`,
    )
  }
  return { asOf, ...(after === undefined ? {} : { after: [after] }), onUnavailable: known }
}

function refuseTwice(names: readonly string[]): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) throw tensorError(name, 'is named twice; name it once')
    seen.add(name)
  }
}
