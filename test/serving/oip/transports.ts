import { join } from 'node:path'
import type { Client, ClientDuplexStream, ServiceDefinition } from '@grpc/grpc-js'
import { credentials, makeClientConstructor, Metadata, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { rootFolder } from '../../source-files.ts'

// The transports of a call, written independently of the product's own codec.

export type Element = number | bigint | string | boolean | null

export interface Tensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly Element[]
}

export interface Call {
  readonly model: string
  readonly version?: string
  readonly id?: string
  readonly parameters?: Readonly<Record<string, string | number | boolean>>
  readonly inputs: readonly Tensor[]
  readonly outputs?: readonly string[]
}

export type Answered =
  | {
      readonly model: string
      readonly version: string
      readonly id: string
      readonly parameters: Readonly<Record<string, unknown>>
      readonly outputs: readonly Tensor[]
    }
  | { readonly status: number; readonly error: string }

export interface Transport {
  readonly kind: 'rest' | 'grpc'
  readonly isBinary: boolean
  call(call: Call): Promise<Answered>
}

export function restJson(url: string): Transport {
  return {
    kind: 'rest',
    isBinary: false,
    async call({ inputs, outputs, id, parameters, ...where }) {
      const body = {
        id,
        parameters,
        inputs: inputs.map((input) => ({ ...input, data: input.data.map(raw) })),
        outputs: outputs?.map((name) => ({ name })),
      }
      const response = await fetch(pathOf(url, where), { method: 'POST', body: JSON.stringify(body) })
      const json = exactJson(await response.text())
      if (!response.ok) return refused(response.status, json)
      return answered(json, json.outputs)
    },
  }
}

export function restBinary(url: string): Transport {
  return {
    kind: 'rest',
    isBinary: true,
    async call({ inputs, outputs, id, parameters, ...where }) {
      const tensors = inputs.map((input) => pack(input.datatype, input.data))
      const head = Buffer.from(
        JSON.stringify({
          id,
          parameters: { ...parameters, binary_data_output: true },
          inputs: inputs.map(({ name, datatype, shape }, i) => ({
            name,
            datatype,
            shape,
            parameters: { binary_data_size: tensors[i]?.length },
          })),
          outputs: outputs?.map((name) => ({ name })),
        }),
      )
      const response = await fetch(pathOf(url, where), {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream', 'Inference-Header-Content-Length': String(head.length) },
        body: Buffer.concat([head, ...tensors]),
      })
      const bytes = Buffer.from(await response.arrayBuffer())
      if (!response.ok) return refused(response.status, JSON.parse(bytes.toString()))
      let at = Number(response.headers.get('inference-header-content-length'))
      const json = exactJson(bytes.subarray(0, at).toString())
      const unpacked = json.outputs.map((output): Tensor => {
        const size = Number(output.parameters?.['binary_data_size'])
        const data = unpack(output.datatype, bytes.subarray(at, at + size))
        at += size
        return { ...output, data }
      })
      if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes are left of the answer`)
      return answered(json, unpacked)
    },
  }
}

export interface GrpcCaller extends Disposable {
  /** One call of the service, as proto-loader has its messages. */
  ask(
    method: string,
    request: unknown,
    options?: { readonly deadlineMs?: number; readonly metadata?: Record<string, string> },
  ): Promise<GrpcAnswer>
  /** One call of the service whose message are these bytes. */
  send(method: string, bytes: Uint8Array): Promise<void>
  /** The message of a request. */
  encode(method: string, request: unknown): Buffer
  /** A call that is answered by a stream. Without a request, that is a stream too. */
  stream(method: string, request?: unknown): ClientDuplexStream<unknown, unknown>
  readonly client: Client
}

// oxlint-disable-next-line typescript/no-explicit-any -- messages as they come off the wire
export type GrpcAnswer = Record<string, any>

export function openGrpc(address: string, trust = credentials.createInsecure()): GrpcCaller {
  return openGrpcService(address, 'inference', 'inference.GRPCInferenceService', 'v1', trust)
}

/** @param version of the package by which the service is called, in place of its own */
export function openGrpcService(
  address: string,
  proto: string,
  service: string,
  version = 'v1',
  trust = credentials.createInsecure(),
): GrpcCaller {
  const file = join(rootFolder, `serving/protocols/grpc/${proto}.proto`)
  const definition = loadSync(file, {
    keepCase: true,
    longs: String,
    enums: String,
    arrays: true,
    objects: true,
    defaults: true,
    oneofs: proto === 'inference',
  })[service] as ServiceDefinition
  const methods = Object.entries(definition).map(([name, each]) => [name, { ...each, path: each.path.replace('.v1.', `.${version}.`) }])
  const Service = makeClientConstructor(Object.fromEntries(methods) as ServiceDefinition, proto)
  const client = new Service(address, trust, { 'grpc.max_receive_message_length': -1 })
  const calls = client as unknown as Record<string, (...args: unknown[]) => unknown>
  return {
    client,
    ask: (method, request, { deadlineMs, metadata = {} } = {}) =>
      new Promise((resolve, reject) => {
        const sent = new Metadata()
        for (const [key, value] of Object.entries(metadata)) sent.set(key, value)
        const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs }
        calls[method]?.call(client, request, sent, options, (error: Error | null, answer: GrpcAnswer) => {
          if (error === null) resolve(answer)
          else reject(error)
        })
      }),
    send: (method, bytes) =>
      new Promise((resolve, reject) => {
        const unchanged = (sent: Buffer): Buffer => sent
        client.makeUnaryRequest(definition[method]?.path ?? '', unchanged, unchanged, Buffer.from(bytes), (error) => {
          if (error === null) resolve()
          else reject(error)
        })
      }),
    encode: (method, request) => definition[method]?.requestSerialize(request) ?? Buffer.alloc(0),
    stream: (method, ...request) => calls[method]?.call(client, ...request) as ClientDuplexStream<unknown, unknown>,
    [Symbol.dispose]: () => client.close(),
  }
}

export function grpc({ ask }: GrpcCaller, isBinary: boolean): Transport {
  return {
    kind: 'grpc',
    isBinary,
    async call({ model, version, id, parameters, inputs, outputs }) {
      const request = {
        model_name: model,
        model_version: version,
        id,
        parameters: Object.fromEntries(Object.entries(parameters ?? {}).map(([name, value]) => [name, parameterOf(value)])),
        inputs: inputs.map(({ name, datatype, shape, data }) => ({
          name,
          datatype,
          shape,
          ...(isBinary ? {} : { contents: contentsOf(datatype, data) }),
        })),
        outputs: outputs?.map((name) => ({ name })),
        ...(isBinary ? { raw_input_contents: inputs.map((input) => pack(input.datatype, input.data)) } : {}),
      }
      let answer: GrpcAnswer
      try {
        answer = await ask('ModelInfer', request)
      } catch (error) {
        const { code, details } = error as { code: status; details: string }
        return { status: code, error: details }
      }
      return {
        model: answer['model_name'],
        version: answer['model_version'],
        id: answer['id'],
        parameters: Object.fromEntries(
          Object.entries(answer['parameters'] as GrpcAnswer).map(([name, value]) => [name, value[value.parameter_choice]]),
        ),
        outputs: (answer['outputs'] as GrpcAnswer[]).map((output, i) => {
          const bytes: Buffer | undefined = answer['raw_output_contents'][i]
          const { name, datatype } = output as Tensor
          const data = bytes === undefined ? fromContents(datatype, output['contents']) : unpack(datatype, bytes)
          return { name, datatype, shape: output['shape'].map(Number), data }
        }),
      }
    },
  }
}

/** The gRPC status that goes with an HTTP status. */
export const grpcOf: Readonly<Record<number, status>> = {
  400: status.INVALID_ARGUMENT,
  404: status.NOT_FOUND,
  500: status.INTERNAL,
  501: status.UNIMPLEMENTED,
  503: status.UNAVAILABLE,
  504: status.DEADLINE_EXCEEDED,
}

const sizes: Readonly<Record<string, number>> = {
  BOOL: 1,
  UINT8: 1,
  INT8: 1,
  UINT16: 2,
  INT16: 2,
  FP16: 2,
  UINT32: 4,
  INT32: 4,
  FP32: 4,
  UINT64: 8,
  INT64: 8,
  FP64: 8,
}

/** Elements in binary. FP16 as its bits. */
function pack(datatype: string, data: readonly Element[]): Buffer {
  if (datatype === 'BYTES') {
    return Buffer.concat(
      data.flatMap((element) => {
        const bytes = Buffer.from(String(element))
        const length = Buffer.alloc(4)
        length.writeUInt32LE(bytes.length)
        return [length, bytes]
      }),
    )
  }
  const size = sizes[datatype] ?? 1
  const bytes = Buffer.alloc(size * data.length)
  for (const [i, element] of data.entries()) {
    const at = i * size
    if (datatype === 'FP32') bytes.writeFloatLE(element === null ? Number.NaN : Number(element), at)
    else if (datatype === 'FP64') bytes.writeDoubleLE(element === null ? Number.NaN : Number(element), at)
    else if (size === 8) bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(element as number)), at)
    else bytes.writeUIntLE(Number(BigInt.asUintN(8 * size, BigInt(element as number))), at, size)
  }
  return bytes
}

function unpack(datatype: string, bytes: Buffer): Element[] {
  if (datatype === 'BYTES') {
    const texts: string[] = []
    for (let at = 0; at < bytes.length;) {
      const end = at + 4 + bytes.readUInt32LE(at)
      texts.push(bytes.toString('utf8', at + 4, end))
      at = end
    }
    return texts
  }
  const size = sizes[datatype] ?? 1
  return Array.from({ length: bytes.length / size }, (_, i): Element => {
    const at = i * size
    if (datatype === 'FP32') return bytes.readFloatLE(at)
    if (datatype === 'FP64') return bytes.readDoubleLE(at)
    if (datatype === 'INT64') return bytes.readBigInt64LE(at)
    if (datatype === 'UINT64') return bytes.readBigUInt64LE(at)
    if (datatype === 'BOOL') return bytes.readUInt8(at) === 1
    return datatype.startsWith('INT') ? bytes.readIntLE(at, size) : bytes.readUIntLE(at, size)
  })
}

function contentsOf(datatype: string, data: readonly Element[]): Record<string, readonly unknown[]> {
  if (datatype === 'BYTES') return { bytes_contents: data.map((element) => Buffer.from(String(element))) }
  if (datatype === 'BOOL') return { bool_contents: data }
  if (datatype.startsWith('FP')) return { [`${datatype.toLowerCase()}_contents`]: data.map((element) => element ?? Number.NaN) }
  const wide = datatype.endsWith('64') ? '64' : ''
  return {
    [`${datatype.startsWith('U') ? 'uint' : 'int'}${wide}_contents`]: data.map((element) => (wide === '' ? element : String(element))),
  }
}

function fromContents(datatype: string, contents: Readonly<Record<string, readonly unknown[]>>): Element[] {
  const [field, elements] = Object.entries(contents).find(([, each]) => each.length > 0) ?? ['', []]
  if (field === 'bytes_contents') return elements.map((element) => (element as Buffer).toString())
  return datatype.endsWith('INT64') ? elements.map((element) => BigInt(element as string)) : (elements as Element[])
}

function parameterOf(value: string | number | boolean) {
  return typeof value === 'string' ? { string_param: value } : typeof value === 'boolean' ? { bool_param: value } : { int64_param: value }
}

interface Json {
  readonly model_name: string
  readonly model_version: string
  readonly id?: string
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly outputs: readonly (Tensor & { readonly parameters?: Readonly<Record<string, unknown>> })[]
}

function answered({ model_name: model, model_version: version, id = '', parameters = {} }: Json, outputs: readonly Tensor[]): Answered {
  return { model, version, id, parameters, outputs: outputs.map(({ name, datatype, shape, data }) => ({ name, datatype, shape, data })) }
}

/** The exact body of an error. */
function refused(code: number, body: unknown): Answered {
  const { error, ...more } = body as { error: unknown }
  if (typeof error !== 'string' || Object.keys(more).length > 0) throw new Error(`not the protocol's error: ${JSON.stringify(body)}`)
  return { status: code, error }
}

function pathOf(url: string, { model, version }: { model: string; version?: string }): string {
  return `${url}/v2/models/${encodeURIComponent(model)}${version === undefined ? '' : `/versions/${encodeURIComponent(version)}`}/infer`
}

/** Integers of any size, as they are. */
function raw(element: Element): unknown {
  return typeof element === 'bigint' ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(element)) : element
}

function exactJson(text: string): Json {
  return JSON.parse(text, (_key, value: unknown, context?: { source: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source ?? '')
      : value,
  ) as Json
}
