import { LockstepError } from '../../../kernel/errors.ts'
import { formatTimestamp } from '../../../kernel/time.ts'
import { didYouMean } from '../../../kernel/did-you-mean.ts'
import { withTimeout } from '../../../runtime/async.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import { requireTime } from '../../traffic/request-deadline.ts'
import type { ServingContext } from '../../context.ts'
import { readEntities } from '../http/features-route.ts'
import type { Prediction } from '../../../inference/load-model.ts'
import type { TensorValue } from '../../../inference/tensor-value.ts'
import type { ServedModel } from '../../models/model-host.ts'
import type { FeatureRead } from '../../features/read-features.ts'
import { onUnavailable } from '../../features/fallback-policy.ts'
import { datatypeOf, onnxTypeOf } from './datatype.ts'
import { entitiesOf, entityColumns, outputTensors } from './entity-inputs.ts'
import type { InferAnswer, InferRequest, Parameters } from './infer-request.ts'
import { refuseUnsupported, textParameter, wholeParameter } from './infer-request.ts'
import type { InferTensor } from './infer-tensor.ts'
import { tensorError } from './infer-tensor.ts'
import { useModel } from './use-model.ts'
import { inputsOf, outputsOf } from './model-tensors.ts'

/** A timer takes no more, which is 24 days. */
const longestMs = 2 ** 31 - 1

/** Who asks, for the log of predictions. */
export interface Caller {
  readonly requestId: string
  /** When the request came, by `performance.now()`. */
  readonly startedMs: number
  /** The id of the API key that it came with. */
  readonly apiKey: string | null
  /** Past it the model is not run any more. */
  readonly deadline?: RequestDeadline | undefined
}

/**
 * Answers an infer call. Its inputs are the model's tensors, or what its feature service takes for each entity: then the features are read as in
 * `POST /v1/predict`, and the outputs are the model's declared ones.
 *
 * @throws LockstepError `INVALID_REQUEST`, `UNSUPPORTED`, `DEADLINE_EXCEEDED` after the parameter `timeout`, and what the model host and the reading of features throw
 */
export async function infer(deps: ServingContext, request: InferRequest, caller: Caller): Promise<InferAnswer> {
  refuseUnsupported(request.parameters)
  wholeParameter('priority', request.parameters) // no request waits for another, so there is nothing to put first
  const micros = wholeParameter('timeout', request.parameters)
  const startMs = performance.now()
  const late = () =>
    new LockstepError(
      'DEADLINE_EXCEEDED',
      `The answer was not there within "timeout", ${micros} microseconds; allow more, or ask for less at once.`,
    )
  const isLate = () => micros > 0 && performance.now() - startMs >= micros / 1000
  const answer = run(deps, request, caller, () => {
    if (isLate()) throw late()
    if (caller.deadline !== undefined) requireTime(caller.deadline)
  })
  if (micros === 0) return await answer
  const made = await withTimeout(answer, Math.min(micros / 1000, longestMs), late)
  // a busy process comes to its timers late
  if (isLate()) throw late()
  return made
}

/** @param requireInTime called before the answer is noted: what it throws was answered instead */
async function run(
  deps: ServingContext,
  request: InferRequest,
  { deadline, ...caller }: Caller,
  requireInTime: () => void,
): Promise<InferAnswer> {
  return await useModel(deps, request.model, request.version, async (model, catalog) => {
    refuseTwice(request.inputs.map((input) => input.name))
    refuseTwice(request.outputs ?? [])
    const answered = areTensorsOf(model, request.inputs)
      ? { outputs: await runTensors(model, request, deadline) }
      : await runEntities(
          model,
          request,
          async (entities) => {
            const runMs = deadline === undefined ? 0 : model.predictedRunMs(entities.length)
            if (deadline !== undefined) requireTime(deadline, runMs)
            const what = { entities, ...asked(request.parameters) }
            const read = await readEntities(deps, catalog, model.service, what, deps.clock(), deadline, runMs)
            if (deadline !== undefined) requireTime(deadline, runMs)
            return read
          },
          (read, predictions) => {
            const { version, service, outputs } = model
            requireInTime()
            deps.predictionLog.note({
              ...caller,
              predictionBase: caller.requestId,
              model: version.model,
              version: version.version,
              service,
              outputs,
              read,
              predictions,
            })
          },
        )
    return {
      model: model.version.model,
      version: model.version.version,
      ...(request.id === undefined ? {} : { id: request.id }),
      ...answered,
    }
  })
}

/**
 * Whether the inputs are the model's own, and not its feature service's. A name that both have is the model's where all of its inputs are there.
 *
 * @throws LockstepError `INVALID_REQUEST` where they are neither, or not all
 */
function areTensorsOf(model: ServedModel, inputs: readonly InferTensor[]): boolean {
  const given = inputs.map((input) => input.name)
  const tensors = inputsOf(model).map((input) => input.name)
  const entity = entityColumns(model.service).map((column) => column.name)
  if (given.length === tensors.length && tensors.every((name) => given.includes(name))) return true
  if (given.length > 0 && given.length === entity.length && entity.every((name) => given.includes(name))) return false
  const takes = `It takes its tensors (${quoted(tensors)})${entity.length === 0 ? '' : `, or what names its entities (${quoted(entity)})`}.`
  const stranger = given.find((name) => !tensors.includes(name) && !entity.includes(name))
  throw new LockstepError(
    'INVALID_REQUEST',
    stranger === undefined
      ? `The inputs ${given.length === 0 ? 'are missing' : `are only ${quoted(given)}, or of both kinds`} for the model "${model.version.model}". ${takes}`
      : `The model "${model.version.model}" has no input "${stranger}".${didYouMean(stranger, [...tensors, ...entity])} ${takes}`,
    { details: { model: model.version.model, inputs: tensors, entity } },
  )
}

async function runTensors(
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
      throw tensorError(name, `${is}, and the model takes ${datatype} of shape [${shape.join(', ')}]`)
    if (input.shape[0] !== rows) throw tensorError(name, `${is}, and the one before it has ${rows} rows; send as many rows in each`)
    feeds[name] = { type: onnxTypeOf(datatype), dims: input.shape, data: input.data }
  }
  const wanted = outputs ?? outputsOf(model).map((output) => output.name)
  if (deadline !== undefined) requireTime(deadline, model.predictedRunMs(rows ?? 1))
  const results = await model.runTensors(feeds, wanted)
  return wanted.map((name) => {
    const { type, dims, data } = results[name] as TensorValue
    const datatype = datatypeOf(type)
    if (datatype !== null) return { name, datatype, shape: dims, data }
    throw new LockstepError('UNSUPPORTED', `The output "${name}" is ${type}, which the protocol has no datatype for; ask for another.`, {
      details: { output: name },
    })
  })
}

async function runEntities(
  model: ServedModel,
  { inputs, outputs }: InferRequest,
  read: (entities: readonly unknown[]) => Promise<FeatureRead>,
  note: (read: FeatureRead, predictions: readonly Prediction[]) => void,
): Promise<Pick<InferAnswer, 'outputs' | 'parameters'>> {
  const declared = model.outputs.map((column) => column.name)
  const unknown = outputs?.find((name) => !declared.includes(name))
  if (unknown !== undefined) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The model "${model.version.model}" declares no output "${unknown}", which is what is answered for entities.${didYouMean(unknown, declared)} It declares ${quoted(declared)}.`,
      { details: { output: unknown, outputs: declared } },
    )
  }
  const features = await read(entitiesOf(model.service, inputs))
  const predictions = await model.predict(features.rows)
  const tensors = outputTensors(model.outputs, predictions)
  note(features, predictions)
  return {
    outputs: outputs === undefined ? tensors : outputs.map((name) => tensors[declared.indexOf(name)] as InferTensor),
    parameters: {
      as_of: formatTimestamp(features.asOf),
      ...(features.skewed ? { skewed: true } : {}),
      ...(features.degraded ? { degraded: true } : {}),
      ...(features.late.length > 0 ? { late: features.late.join() } : {}),
      ...(features.staleMs === null ? {} : { stale_ms: Math.ceil(features.staleMs) }),
    },
  }
}

/** What `POST /v1/predict` takes beside the entities, by the parameters of the call. */
function asked(parameters: Parameters) {
  const asOf = textParameter('as_of', parameters)
  const after = textParameter('after', parameters)
  const policy = textParameter('on_unavailable', parameters)
  const known = onUnavailable.find((each) => each === policy)
  if (policy !== undefined && known === undefined) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The parameter "on_unavailable" is "${policy}", and must be one of ${quoted(onUnavailable)}.`,
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

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ')
}
