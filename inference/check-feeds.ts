import { LockstepError } from '../kernel/errors.ts'
import type { TensorInfo } from '../registry/models/model-contract.ts'
import { fixedSize, tensorText } from '../registry/models/model-contract.ts'
import type { TensorValue, Tensors } from './tensor-value.ts'
import { holds } from './tensor-value.ts'

/** A model's inputs and outputs, as stated in its file. */
export interface ModelMetadata {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
}

/**
 * Refuses tensors that do not fit the model. ONNX Runtime ignores unknown inputs and reads past the end of data that is
 * too short.
 *
 * @param name the name for error messages: `delay@3`
 * @throws LockstepError `INVALID_REQUEST`, which names the tensor
 */
export function checkFeeds({ inputs }: ModelMetadata, feeds: Tensors, name: string): void {
  const known = inputs.map((input) => input.name)
  for (const given of Object.keys(feeds)) {
    if (!known.includes(given)) throw refused(name, given, `is not an input of the model, which has ${listed(inputs)}`)
  }
  for (const input of inputs) {
    const feed = Object.hasOwn(feeds, input.name) ? feeds[input.name] : undefined
    if (feed === undefined) throw refused(name, input.name, `is missing; the model has the inputs ${listed(inputs)}`)
    checkFeed(input, feed, name)
  }
}

/**
 * The outputs that a call asks for.
 *
 * @param wanted default: all tensor outputs
 * @throws LockstepError `INVALID_REQUEST` for an output that the model does not have, that is not a tensor, or that is
 *   requested twice
 */
export function checkOutputs({ outputs }: ModelMetadata, wanted: readonly string[] | undefined, name: string): readonly string[] {
  const tensors = outputs.filter((output) => output.isTensor)
  if (wanted === undefined || wanted.length === 0) return tensors.map((output) => output.name)
  for (const [index, output] of wanted.entries()) {
    if (!tensors.some((candidate) => candidate.name === output))
      throw refused(name, output, `is not an output of the model, which has ${listed(tensors)}`)
    if (wanted.indexOf(output) !== index) throw refused(name, output, 'is requested twice; request it once')
  }
  return wanted
}

function checkFeed(input: TensorInfo, feed: TensorValue, name: string): void {
  const is = `${feed.type}[${feed.dims.join(', ')}]`
  const fits =
    feed.type === input.type &&
    // an empty shape also means that the file does not state one
    (input.shape.length === 0 || feed.dims.length === input.shape.length) &&
    feed.dims.every((size, axis) => Number.isSafeInteger(size) && size > 0 && (fixedSize(input.shape[axis]) ?? size) === size)
  if (!fits) throw refused(name, input.name, `is ${is}, but the model takes ${tensorText(input)}`)
  if (!holds(feed.type, feed.data)) throw refused(name, input.name, `is ${is}, but its data has another type`)
  const elements = feed.dims.reduce((product, size) => product * size, 1)
  if (feed.data.length !== elements)
    throw refused(name, input.name, `is ${is}, which has ${elements} elements, but its data has ${feed.data.length}`)
}

function refused(model: string, tensor: string, reason: string): LockstepError {
  return new LockstepError('INVALID_REQUEST', `The tensor "${tensor}" does not fit the model "${model}": it ${reason}.`, {
    details: { model, tensor },
  })
}

function listed(tensors: readonly TensorInfo[]): string {
  return tensors.map((tensor) => `"${tensor.name}" ${tensorText(tensor)}`).join(', ')
}
