import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { isRecord } from '../../../kernel/is-record.ts'
import { parseJson } from '../../../kernel/values/parse-json.ts'
import { checkJsonShape } from '../http/request/check-json-shape.ts'
import { sayIssues } from '../../../registry/load/format-issues.ts'
import { readBinary, writeBinary } from './binary-data.ts'
import { parseDatatype } from './datatype.ts'
import type { InferAnswer, InferRequest, Parameters } from './infer-request.ts'
import { refuseUnsupported } from './infer-request.ts'
import type { InferTensor } from './infer-tensor.ts'
import { maxRank, maxTensors, tensorError } from './infer-tensor.ts'
import { readJson, writeJson } from './json-data.ts'

type JsonParameters = Readonly<Record<string, string | number | boolean>>

/**
 * One check for the whole object: a body may hold very many parameters, and an error for each would cost far more than
 * the body.
 */
const parametersSchema = z
  .custom<JsonParameters>(isParameters, 'must be an object of strings, numbers and booleans')
  .meta({ type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } })
const parameterTypes = new Set(['string', 'number', 'boolean'])

function isParameters(json: unknown): boolean {
  return isRecord(json) && Object.values(json).every((each) => parameterTypes.has(typeof each))
}
const aboutTensor = 'Parameters of the tensor, such as binary_data_size'

/** The JSON of an infer call. What it does not know it passes over, as the protocol has it. */
export const inferSchema = z.object({
  id: z.string().optional().describe('Returned in the answer'),
  parameters: parametersSchema.optional().describe('Parameters of the call, such as timeout (microseconds)'),
  inputs: z
    .array(
      z.object({
        name: z.string().describe('An input of the model, or a key column or request value of its service'),
        shape: z.array(z.int().nonnegative()).max(maxRank).describe('The number of rows, then the dimensions of a row'),
        datatype: z.string().describe('BOOL, INT8 to INT64, UINT8 to UINT64, FP16, FP32, FP64 or BYTES (strings)'),
        parameters: parametersSchema.optional().describe(aboutTensor),
        /** An array; zod would visit each element, and what they must be the datatype says. */
        data: z
          .unknown()
          .meta({ type: 'array', items: {} })
          .optional()
          .describe('The elements, flat or nested. Absent if they follow in binary'),
      }),
    )
    .max(maxTensors)
    .describe("Either all of the model's own inputs, or the entities of its service as columns"),
  outputs: z
    .array(
      z.object({
        name: z.string().describe('An output of the model'),
        parameters: parametersSchema.optional().describe('Parameters of the output, such as binary_data'),
      }),
    )
    .max(maxTensors)
    .optional()
    .describe('The outputs to answer. Default: all'),
})

/** The JSON of an answer, for documentation. */
export const inferAnswerSchema = z.object({
  model_name: z.string().describe('The name of the model'),
  model_version: z.string().describe('The version that answered; empty if several did: the parameters versions and roles name them by row'),
  id: z.string().optional().describe('As it was sent'),
  parameters: parametersSchema.optional().describe('Parameters of the answer'),
  outputs: z.array(
    z.object({
      name: z.string().describe('The output'),
      shape: z.array(z.int().nonnegative()).describe('The number of rows, then the dimensions of a row'),
      datatype: z.string().describe('As in requests'),
      parameters: parametersSchema.optional().describe('Parameters of the tensor, such as null_elements'),
      data: z.array(z.unknown()).optional().describe('The elements, flat'),
    }),
  ),
})

export type InferBody = Pick<InferRequest, 'id' | 'parameters' | 'inputs' | 'outputs'> & {
  /** Whether an output is wanted in binary. */
  readonly isBinary: (output: string) => boolean
}

/**
 * Reads the body of an infer call: JSON, and behind it the tensors that are in binary, in the order of the inputs.
 *
 * @param headerLength bytes of the JSON (`Inference-Header-Content-Length`); null where the body is JSON alone
 * @throws LockstepError `INVALID_REQUEST` saying which field or tensor is wrong
 */
export function readInferBody(body: Uint8Array, headerLength: number | null): InferBody {
  if (headerLength !== null && headerLength > body.byteLength) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The header "Inference-Header-Content-Length" says ${headerLength}, but the body has ${body.byteLength} bytes.`,
    )
  }
  const bytesOfJson = Buffer.from(body.buffer, body.byteOffset, headerLength ?? body.byteLength)
  // what is none would become one character, and the name of another entity
  if (!isUtf8(bytesOfJson)) throw new LockstepError('INVALID_REQUEST', 'The JSON of the body is not UTF-8; send it in UTF-8.')
  const json = parse(bytesOfJson.toString())
  let at = headerLength ?? body.byteLength
  const inputs = json.inputs.map(({ name, shape, datatype: text, data, parameters = {} }): InferTensor => {
    const datatype = parseDatatype(text, name)
    refuseUnsupported(parameters)
    const size = parameters['binary_data_size']
    if (size === undefined) return { name, datatype, shape, data: readJson(datatype, shape, data, name) }
    if (data !== undefined) throw tensorError(name, 'has both "data" and "binary_data_size"; send one of them')
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0)
      throw tensorError(name, `has the binary_data_size ${size}, which is not a number of bytes`)
    if (at + size > body.byteLength) {
      throw tensorError(
        name,
        headerLength === null
          ? 'is in binary, but the header "Inference-Header-Content-Length" is missing'
          : `has the binary_data_size ${size}, but only ${body.byteLength - at} bytes of the body are left`,
      )
    }
    const bytes = body.subarray(at, at + size)
    at += size
    return { name, datatype, shape, data: readBinary(datatype, shape, bytes, name) }
  })
  if (at !== body.byteLength)
    throw new LockstepError('INVALID_REQUEST', `The body has ${body.byteLength - at} bytes that belong to no input's "binary_data_size".`)
  const all = json.parameters?.['binary_data_output'] === true
  const single = new Map<string, boolean>()
  for (const { name, parameters = {} } of json.outputs ?? []) {
    refuseUnsupported(parameters)
    const binary = parameters['binary_data']
    if (typeof binary === 'boolean') single.set(name, binary)
  }
  return {
    ...(json.id === undefined ? {} : { id: json.id }),
    parameters: json.parameters ?? {},
    inputs,
    // none named is all, as it is in gRPC
    ...(json.outputs === undefined || json.outputs.length === 0 ? {} : { outputs: json.outputs.map((output) => output.name) }),
    isBinary: (output) => single.get(output) ?? all,
  }
}

export interface InferAnswerBody {
  readonly body: string | Uint8Array<ArrayBuffer>
  /** Bytes of the JSON; null where the body is JSON alone. */
  readonly headerLength: number | null
}

/**
 * The answer's body. An element that JSON cannot say (NaN, an infinity) is null, and the tensor's parameter
 * `null_elements` says how many are.
 *
 * @throws LockstepError `INVALID_REQUEST` where FP16 is not asked for in binary
 */
export function writeInferBody(
  { model, version, id, parameters, outputs }: InferAnswer,
  isBinary: (output: string) => boolean,
): InferAnswerBody {
  const binaries: Uint8Array[] = []
  const tensors = outputs.map(({ name, datatype, shape, data }) => {
    const head = `{"name":${JSON.stringify(name)},"shape":[${shape.join()}],"datatype":"${datatype}"`
    if (isBinary(name)) {
      const bytes = writeBinary(data)
      binaries.push(bytes)
      return `${head},"parameters":{"binary_data_size":${bytes.byteLength}}}`
    }
    const { json, nulls } = writeJson(datatype, data, name)
    return `${head}${nulls === 0 ? '' : `,"parameters":{"null_elements":${nulls}}`},"data":${json}}`
  })
  const json =
    `{"model_name":${JSON.stringify(model)},"model_version":"${version ?? ''}"` +
    (id === undefined ? '' : `,"id":${JSON.stringify(id)}`) +
    (parameters === undefined ? '' : `,"parameters":${parametersJson(parameters)}`) +
    `,"outputs":[${tensors.join()}]}`
  if (binaries.length === 0) return { body: json, headerLength: null }
  const headerLength = Buffer.byteLength(json)
  const body = Buffer.allocUnsafeSlow(binaries.reduce((sum, bytes) => sum + bytes.byteLength, headerLength))
  body.write(json)
  let at = headerLength
  for (const bytes of binaries) {
    body.set(bytes, at)
    at += bytes.byteLength
  }
  return { body, headerLength }
}

function parametersJson(parameters: Parameters): string {
  return JSON.stringify(parameters, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
}

function parse(text: string): z.output<typeof inferSchema> {
  let json: unknown
  try {
    checkJsonShape(text)
    // only these hold integers beyond 2^53, and reading floats exactly costs
    json = text.includes('INT64') ? parseJson(text) : JSON.parse(text)
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    throw new LockstepError(
      'INVALID_REQUEST',
      `The body is not JSON: ${messageOf(cause)}. Send a JSON object, and NaN and infinities in binary.`,
      { cause },
    )
  }
  const parsed = inferSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const { said } = sayIssues(parsed.error, inferSchema, json)
  throw new LockstepError('INVALID_REQUEST', `The body is not a valid infer request: ${said}.`)
}
