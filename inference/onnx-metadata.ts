import { protobufFields } from './protobuf-fields.ts'

/** What an ONNX file says of itself, read from its bytes without loading it. Field numbers: onnx/onnx.proto of the ONNX project. */
export interface OnnxMetadata {
  readonly irVersion: number
  /** `skl2onnx 1.17`; empty where the file does not say. */
  readonly producer: string
  /** The version of each operator set that it was made for, by domain; ONNX's own is ''. */
  readonly opsets: ReadonlyMap<string, number>
  /** Every operator of the graph, its inner graphs and functions: `Gemm`, `ai.onnx.ml.ZipMap`. */
  readonly opTypes: ReadonlySet<string>
  readonly nodes: number
  /** Whether it is up to the values that go in how much it does, and not to their number alone: only then a run can be long, or endless, where others were short. */
  readonly valueDependentRunTime: boolean
  /** Tensors whose values lie in another file, or that say where in one they would lie, by name. */
  readonly externalData: readonly string[]
  /** Element types of what goes in, comes out, or is stored in it, as ONNX names them: `float`, `bfloat16`, … */
  readonly elementTypes: ReadonlySet<string>
}

/** Those of ONNX's own that run a number of times or not at all, and those whose output is as large as a value of their input says. */
const byValue: ReadonlySet<string> = new Set(
  'Loop Scan If SequenceMap Range Tile Expand ConstantOfShape Resize Upsample OneHot Pad CenterCropPad Col2Im MaxUnpool AffineGrid DFT STFT HannWindow HammingWindow BlackmanWindow MelWeightMatrix'.split(
    ' ',
  ),
)
/** Of operators that are not ONNX's own nobody here knows. */
const knownDomain = /^(?:[^.]+|ai\.onnx\.ml\.[^.]+)$/

/** TensorProto.DataType, by number. */
const elementNames = (
  'undefined float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 complex128 bfloat16 float8e4m3fn ' +
  'float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1 float8e8m0'
).split(' ')

const decoder = new TextDecoder()

/** How deep graphs may lie in each other, so that no file can exhaust the stack. */
const maxDepth = 100

/** @throws Error where the bytes are no ONNX model; what loads may hold more than is read here, and what is read here need not load */
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
    // the two names of ONNX's own
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
      // whatever is said of another file, once is enough
      else if (number === 13 || (number === 14 && int32 !== 0)) elsewhere = true
    }
    if (elsewhere) facts.externalData.push(name)
  }

  /** A graph's input or output, which may be no tensor, or one within another type. */
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
