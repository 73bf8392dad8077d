import { float16Value } from './float16.ts'

/**
 * The elements of a tensor in row-major order. Bool is 0 and 1 in a Uint8Array; float16 is the raw bits in a
 * Uint16Array.
 */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | readonly string[]

/** One input or output tensor of a run. */
export interface TensorValue {
  /** Element type as ONNX Runtime names it: `float32`, `int64`, `string`, … */
  readonly type: string
  readonly dims: readonly number[]
  readonly data: TensorData
}

/** Tensors by name. */
export type Tensors = Readonly<Record<string, TensorValue>>

type TypedData = Exclude<TensorData, readonly string[]>

const arrays: Readonly<Partial<Record<string, new (length: number) => TypedData>>> = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  float16: Uint16Array,
}

/** Whether the data has the array type of this element type. */
export function holds(type: string, data: TensorData): boolean {
  if (type === 'string') return Array.isArray(data) && data.every((element) => typeof element === 'string')
  const array = arrays[type]
  return array !== undefined && data instanceof array
}

/** The elements: of float16 their values, not their bits. */
export function numbersOf({ type, data }: TensorValue): TensorData {
  return type === 'float16' ? Float32Array.from(data as Uint16Array, float16Value) : data
}

/** Rows of a tensor by its first axis, as a view that shares the memory. */
export function tensorRows({ type, dims, data }: TensorValue, from: number, to: number): TensorValue {
  const width = data.length / (dims[0] ?? 1)
  const part = Array.isArray(data) ? data.slice(from * width, to * width) : (data as TypedData).subarray(from * width, to * width)
  return { type, dims: [to - from, ...dims.slice(1)], data: part }
}

/** Concatenates tensors of one type that differ only in the first axis. */
export function joinTensors(tensors: readonly TensorValue[]): TensorValue {
  const [first] = tensors
  if (first === undefined || tensors.length === 1) return first as TensorValue
  const rows = tensors.reduce((sum, tensor) => sum + (tensor.dims[0] ?? 0), 0)
  const dims = [rows, ...first.dims.slice(1)]
  if (Array.isArray(first.data)) return { type: first.type, dims, data: tensors.flatMap((tensor) => tensor.data as readonly string[]) }
  const data = new (arrays[first.type] as new (length: number) => TypedData)(tensors.reduce((sum, tensor) => sum + tensor.data.length, 0))
  let at = 0
  for (const tensor of tensors) {
    // all tensors have one type, so all hold numbers or all hold bigints
    data.set(tensor.data as never, at)
    at += tensor.data.length
  }
  return { type: first.type, dims, data }
}
