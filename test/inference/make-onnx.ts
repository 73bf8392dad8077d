/** Writes ONNX files from data, field by field as in onnx/onnx.proto, for models that no fixture covers. */

export interface OnnxModel {
  readonly irVersion?: number
  readonly producer?: string
  /** By domain; ONNX's own is ''. Default: 15. */
  readonly opsets?: Readonly<Record<string, number>>
  readonly graph: OnnxGraph
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[]
  readonly inputs?: readonly OnnxValue[]
  readonly outputs?: readonly OnnxValue[]
  readonly initializers?: readonly OnnxTensor[]
}

export interface OnnxNode {
  readonly type: string
  readonly domain?: string
  readonly inputs?: readonly string[]
  readonly outputs?: readonly string[]
  readonly attributes?: Readonly<
    Record<string, number | bigint | readonly number[] | readonly bigint[] | string | readonly string[] | OnnxGraph | OnnxTensor>
  >
}

export interface OnnxValue {
  readonly name: string
  /** A sequence of such tensors. */
  readonly sequence?: true
  readonly type: ElementName
  readonly shape: readonly (number | string)[]
}

export interface OnnxTensor {
  readonly name: string
  readonly type: ElementName
  readonly dims: readonly number[]
  /** Little-endian elements; absent: they lie in another file. */
  readonly raw?: Uint8Array
  /** Where they lie. Default: all of `weights.bin`. */
  readonly place?: Readonly<Record<string, string>>
}

export type ElementName = keyof typeof elementNumbers

const elementNumbers = { float: 1, int32: 6, int64: 7, string: 8, bool: 9, float16: 10, double: 11, bfloat16: 16 } as const

export function makeOnnx({ irVersion = 8, producer = '', opsets = { '': 15 }, graph }: OnnxModel): Buffer {
  return Buffer.concat([
    whole(1, irVersion),
    text(2, producer),
    part(7, graphBytes(graph)),
    ...Object.entries(opsets).map(([domain, version]) => part(8, Buffer.concat([text(1, domain), whole(2, version)]))),
  ])
}

/** Float32 elements of a tensor. */
export function floats(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer)
}

/** Int64 elements of a tensor. */
export function longs(...values: readonly number[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
}

function graphBytes({ nodes, inputs = [], outputs = [], initializers = [] }: OnnxGraph): Buffer {
  return Buffer.concat([
    ...nodes.map((node) => part(1, nodeBytes(node))),
    text(2, 'graph'),
    ...initializers.map((tensor) => part(5, tensorBytes(tensor))),
    ...inputs.map((value) => part(11, valueBytes(value))),
    ...outputs.map((value) => part(12, valueBytes(value))),
  ])
}

function nodeBytes({ type, domain = '', inputs = [], outputs = [], attributes = {} }: OnnxNode): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => part(1, Buffer.from(name))),
    ...outputs.map((name) => part(2, Buffer.from(name))),
    text(4, type),
    ...Object.entries(attributes).map(([name, value]) => part(5, Buffer.concat([text(1, name), ...attributeValue(value)]))),
    text(7, domain),
  ])
}

/** A number is a float, a bigint an int; both have their lists. */
function attributeValue(value: NonNullable<OnnxNode['attributes']>[string]): Buffer[] {
  if (typeof value === 'number') return [Buffer.concat([varint(2 * 8 + 5), float(value)]), whole(20, 1)]
  if (typeof value === 'bigint') return [whole(3, value), whole(20, 2)]
  if (typeof value === 'string') return [text(4, value), whole(20, 3)]
  if (Array.isArray(value)) {
    const list: readonly (number | bigint | string)[] = value
    if (list.every((each) => typeof each === 'string')) return [...list.map((each) => text(9, each)), whole(20, 8)]
    if (list.every((each) => typeof each === 'bigint')) return [part(8, varints(list)), whole(20, 7)]
    return [part(7, new Uint8Array(Float32Array.from(list, Number).buffer)), whole(20, 6)]
  }
  const made = value as OnnxGraph | OnnxTensor
  return 'nodes' in made ? [part(6, graphBytes(made)), whole(20, 5)] : [part(5, tensorBytes(made)), whole(20, 4)]
}

function tensorBytes({ name, type, dims, raw, place = { location: 'weights.bin' } }: OnnxTensor): Buffer {
  const entries = Object.entries(place).map(([key, value]) => part(13, Buffer.concat([text(1, key), text(2, value)])))
  const values = raw === undefined ? [...entries, whole(14, 1)] : [part(9, raw)]
  return Buffer.concat([...dims.map((dim) => whole(1, dim)), whole(2, elementNumbers[type]), text(8, name), ...values])
}

function valueBytes({ name, type, shape, sequence }: OnnxValue): Buffer {
  const dims = shape.map((size) => part(1, typeof size === 'number' ? whole(1, size) : text(2, size)))
  const tensor = Buffer.concat([whole(1, elementNumbers[type]), part(2, Buffer.concat(dims))])
  return Buffer.concat([text(1, name), part(2, sequence ? part(4, part(1, part(1, tensor))) : part(1, tensor))])
}

function float(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

function text(field: number, value: string): Buffer {
  return value === '' ? Buffer.alloc(0) : part(field, Buffer.from(value))
}

function part(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes])
}

function whole(field: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)])
}

function varints(values: readonly bigint[]): Buffer {
  const bytes: number[] = []
  for (const value of values) pushVarint(bytes, value)
  return Buffer.from(bytes)
}

function varint(value: number | bigint): Buffer {
  const bytes: number[] = []
  pushVarint(bytes, BigInt(value))
  return Buffer.from(bytes)
}

function pushVarint(bytes: number[], value: bigint): void {
  let rest = BigInt.asUintN(64, value)
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest > 0n ? low | 0x80 : low)
  } while (rest > 0n)
}
