import { protobufFields } from './protobuf-fields.ts'

/**
 * Metadata of an ONNX file, read from its bytes without loading it. Field numbers: onnx/onnx.proto of the ONNX project.
 */
export interface OnnxMetadata {
  readonly irVersion: number
  /** `skl2onnx 1.17`; empty if the file does not state it. */
  readonly producer: string
  /** The version of each operator set, by domain; ONNX's own domain is ''. */
  readonly opsets: ReadonlyMap<string, number>
  /** Every operator of the graph, its subgraphs and functions: `Gemm`, `ai.onnx.ml.ZipMap`. */
  readonly opTypes: ReadonlySet<string>
  readonly nodes: number
  /**
   * Whether the run time depends on the input values, not only on the number of rows. Such a model can have a long or
   * endless run after many short ones.
   */
  readonly valueDependentRunTime: boolean
  /** The names of tensors whose values are in another file. */
  readonly externalData: readonly string[]
  /** Element types of inputs, outputs and stored tensors, by ONNX name: `float`, `bfloat16`, … */
  readonly elementTypes: ReadonlySet<string>
}

/** ONNX's own operators that loop or branch on a value, or whose output size is given by an input value. */
const byValue: ReadonlySet<string> = new Set(
  'Loop Scan If SequenceMap Range Tile Expand ConstantOfShape Resize Upsample OneHot Pad CenterCropPad Col2Im MaxUnpool AffineGrid DFT STFT HannWindow HammingWindow BlackmanWindow MelWeightMatrix'.split(
    ' ',
  ),
)
/** Operators of other domains are unknown, so they count as value-dependent. */
const knownDomain = /^(?:[^.]+|ai\.onnx\.ml\.[^.]+)$/

/** TensorProto.DataType, by number. */
const elementNames = (
  'undefined float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 complex128 bfloat16 float8e4m3fn ' +
  'float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1 float8e8m0'
).split(' ')

const decoder = new TextDecoder()

/** The maximum nesting of graphs, so that no file can exhaust the stack. */
const maxDepth = 100

/** @throws Error if the bytes are not an ONNX model. Success does not mean that the file loads. */
export function parseOnnxMetadata(bytes: Uint8Array): OnnxMetadata {
  const facts = {
    opsets: new Map<string, number>(),
    opTypes: new Set<string>(),
    externalData: [] as string[],
    elementTypes: new Set<string>(),
  }
  let irVersion = 0
  let nodes = 0
  let graphs = 0
  let producerName = ''
  let producerVersion = ''

  for (const { number, value, bytes: field } of protobufFields(bytes)) {
    if (number === 1) irVersion = value
    else if (number === 2) producerName = decoder.decode(field)
    else if (number === 3) producerVersion = decoder.decode(field)
    else if (number === 7) {
      graphs++
      readGraph(field, 0)
    } else if (number === 8) readOpset(field)
    else if (number === 20) readTraining(field)
    else if (number === 25) readFunction(field)
  }
  if (graphs === 0) throw new Error('The bytes contain no ONNX graph.')
  return {
    irVersion,
    producer: [producerName, producerVersion].filter((part) => part !== '').join(' '),
    ...facts,
    nodes,
    valueDependentRunTime: [...facts.opTypes].some((type) => byValue.has(type) || !knownDomain.test(type)),
  }

  function readOpset(message: Uint8Array): void {
    let domain = ''
    let version = 0
    for (const { number, value, bytes: field } of protobufFields(message)) {
      if (number === 1) domain = decoder.decode(field)
      else if (number === 2) version = value
    }
    // ONNX's own domain has two names
    facts.opsets.set(domain === 'ai.onnx' ? '' : domain, version)
  }

  function readTraining(message: Uint8Array): void {
    for (const { number, bytes: field } of protobufFields(message)) if (number === 1 || number === 2) readGraph(field, 0)
  }

  function readFunction(message: Uint8Array): void {
    for (const { number, bytes: field } of protobufFields(message)) {
      if (number === 7) readNode(field, 0)
      else if (number === 11) readAttribute(field, 0)
    }
  }

  function readGraph(message: Uint8Array, depth: number): void {
    if (depth > maxDepth) throw new Error(`The graphs of the ONNX file are nested more than ${maxDepth} levels deep.`)
    for (const { number, bytes: field } of protobufFields(message)) {
      if (number === 1) readNode(field, depth)
      else if (number === 5) readTensor(field)
      else if (number === 11 || number === 12) readValue(field)
      else if (number === 15) readSparse(field)
    }
  }

  function readNode(message: Uint8Array, depth: number): void {
    nodes++
    let type = ''
    let domain = ''
    for (const { number, bytes: field } of protobufFields(message)) {
      if (number === 4) type = decoder.decode(field)
      else if (number === 5) readAttribute(field, depth)
      else if (number === 7) domain = decoder.decode(field)
    }
    facts.opTypes.add(domain === '' || domain === 'ai.onnx' ? type : `${domain}.${type}`)
  }

  function readAttribute(message: Uint8Array, depth: number): void {
    for (const { number, bytes: field } of protobufFields(message)) {
      if (number === 5 || number === 10) readTensor(field)
      else if (number === 6 || number === 11) readGraph(field, depth + 1)
      else if (number === 22 || number === 23) readSparse(field)
    }
  }

  function readSparse(message: Uint8Array): void {
    for (const { number, bytes: field } of protobufFields(message)) if (number === 1 || number === 2) readTensor(field)
  }

  function readTensor(message: Uint8Array): void {
    let name = ''
    let elsewhere = false
    for (const { number, int32, bytes: field } of protobufFields(message)) {
      if (number === 2) noteElement(int32)
      else if (number === 8) name = decoder.decode(field)
      // 13: external_data, 14: data_location
      else if (number === 13 || (number === 14 && int32 !== 0)) elsewhere = true
    }
    if (elsewhere) facts.externalData.push(name)
  }

  /** A graph's input or output. Only plain tensors are read. */
  function readValue(message: Uint8Array): void {
    for (const { number, bytes: type } of protobufFields(message)) {
      if (number !== 2) continue
      for (const { number: kind, bytes: tensor } of protobufFields(type)) {
        if (kind !== 1) continue
        for (const { number: member, int32 } of protobufFields(tensor)) if (member === 1) noteElement(int32)
      }
    }
  }

  function noteElement(type: number): void {
    facts.elementTypes.add(elementNames[type] ?? `type ${type}`)
  }
}
