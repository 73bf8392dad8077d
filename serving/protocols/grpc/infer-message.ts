import { LockstepError } from '../../../kernel/errors.ts'
import { protobufFields } from '../../../inference/protobuf-fields.ts'
import { readBinary, writeBinary } from '../oip/binary-data.ts'
import { parseDatatype } from '../oip/datatype.ts'
import type { InferAnswer, InferRequest, Parameter, Parameters } from '../oip/infer-request.ts'
import { refuseUnsupported } from '../oip/infer-request.ts'
import type { InferTensor } from '../oip/infer-tensor.ts'
import { maxRank, maxTensors, tensorError } from '../oip/infer-tensor.ts'
import type { TypedContents } from './typed-contents.ts'
import { readContents, writeContents } from './typed-contents.ts'

/** The message InferParameter, with 64-bit integers as decimal texts. */
interface ParameterMessage {
  readonly bool_param?: boolean
  readonly int64_param?: string
  readonly string_param?: string
  readonly double_param?: number
  readonly uint64_param?: string
}
type ParametersMessage = Readonly<Record<string, ParameterMessage>>

interface TensorMessage {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly string[]
  readonly parameters?: ParametersMessage
  readonly contents?: TypedContents | null
}

/** The message ModelInferRequest, as it is decoded. */
export interface InferMessage {
  readonly model_name: string
  readonly model_version: string
  readonly id: string
  readonly parameters?: ParametersMessage
  readonly inputs: readonly TensorMessage[]
  readonly outputs: readonly { readonly name: string; readonly parameters?: ParametersMessage }[]
  readonly raw_input_contents: readonly Buffer[]
}

/** The message ModelInferResponse, to be encoded. */
export interface InferAnswerMessage {
  readonly model_name: string
  readonly model_version: string
  readonly id: string
  readonly parameters: ParametersMessage
  readonly outputs: readonly TensorMessage[]
  readonly raw_output_contents?: readonly Uint8Array[]
}

/** The maximum fields of a request, and of each of its tensors without elements: more than its tensors can need. */
const maxFields = 4 * maxTensors
/** Numbers in `inference.proto`. */
const [inputsField, shapeField] = [5, 3]
const maxVarintBytes = 10

/**
 * Refuses a request that would take long to decode: half a million empty tensors fit into a megabyte.
 *
 * @throws LockstepError `INVALID_REQUEST`; Error if the bytes are no protobuf message
 */
export function checkInferBytes(message: Uint8Array): void {
  let fields = 0
  for (const { number, bytes: tensor } of protobufFields(message)) {
    if (++fields > maxFields) throw tooManyFields('The call')
    if (number !== inputsField) continue
    let ofTensor = 0
    for (const { number: inner, bytes } of protobufFields(tensor)) {
      if (++ofTensor > maxFields || (inner === shapeField && bytes.length > maxRank * maxVarintBytes)) throw tooManyFields('A tensor')
    }
  }
}

function tooManyFields(what: string): LockstepError {
  const limits = `at most ${maxTensors} inputs and outputs, and shapes of at most ${maxRank} dimensions`
  return new LockstepError('INVALID_REQUEST', `${what} has too many fields; send ${limits}.`)
}

/** @throws LockstepError `INVALID_REQUEST` saying which tensor is wrong, `UNSUPPORTED` */
export function readInferMessage(message: InferMessage): InferRequest {
  const { raw_input_contents: raw, inputs, outputs } = message
  if (inputs.length > maxTensors || outputs.length > maxTensors) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The call has ${inputs.length} inputs and names ${outputs.length} outputs; send at most ${maxTensors} of each.`,
    )
  }
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `There are ${inputs.length} inputs and ${raw.length} raw_input_contents; send one for each input, or none.`,
    )
  }
  const tensors = inputs.map(({ name, datatype: text, shape: sizes, parameters, contents }, index): InferTensor => {
    const datatype = parseDatatype(text, name)
    refuseUnsupported(readParameters(parameters))
    if (sizes.length > maxRank) throw tensorError(name, `has a shape of ${sizes.length} dimensions; send at most ${maxRank}`)
    const shape = sizes.map(Number)
    if (shape.some((size) => size < 0)) throw tensorError(name, `has shape [${shape.join(', ')}], but a dimension cannot be negative`)
    const bytes = raw[index]
    if (bytes === undefined) return { name, datatype, shape, data: readContents(datatype, shape, contents ?? null, name) }
    if (contents !== null && contents !== undefined) throw tensorError(name, 'has both contents and raw_input_contents; send one of them')
    return { name, datatype, shape, data: readBinary(datatype, shape, bytes, name) }
  })
  for (const output of outputs) refuseUnsupported(readParameters(output.parameters))
  return {
    model: message.model_name,
    version: message.model_version,
    ...(message.id === '' ? {} : { id: message.id }),
    parameters: readParameters(message.parameters),
    inputs: tensors,
    ...(outputs.length === 0 ? {} : { outputs: outputs.map((output) => output.name) }),
  }
}

/** @param isRaw whether the tensors go as raw contents, all of them; they do where one is FP16 */
export function writeInferMessage({ model, version, id, parameters, outputs }: InferAnswer, isRaw: boolean): InferAnswerMessage {
  const raw = isRaw || outputs.some((output) => output.datatype === 'FP16')
  const described = outputs.map(({ name, datatype, shape, data }) => ({
    name,
    datatype,
    shape: shape.map(String),
    ...(raw ? {} : { contents: writeContents(datatype, data) }),
  }))
  return {
    model_name: model,
    model_version: version === null ? '' : String(version),
    id: id ?? '',
    parameters: writeParameters(parameters ?? {}),
    outputs: described,
    ...(raw ? { raw_output_contents: outputs.map((output) => writeBinary(output.data)) } : {}),
  }
}

function readParameters(messages: ParametersMessage = {}): Parameters {
  const parameters = Object.entries(messages).flatMap(([name, message]): [string, Parameter][] => {
    const integer = message.int64_param ?? message.uint64_param
    const value = integer === undefined ? (message.bool_param ?? message.string_param ?? message.double_param) : BigInt(integer)
    return value === undefined ? [] : [[name, value]]
  })
  return Object.fromEntries(parameters)
}

function writeParameters(parameters: Parameters): ParametersMessage {
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, writeParameter(value)]))
}

function writeParameter(value: Parameter): ParameterMessage {
  switch (typeof value) {
    case 'boolean':
      return { bool_param: value }
    case 'string':
      return { string_param: value }
    case 'bigint':
      return { int64_param: String(value) }
    default:
      return { double_param: value }
  }
}
