/** What holds the elements of a tensor, row after row. Bool is 0 and 1 in a Uint8Array; float16 travels as the bits of a Uint16Array. */
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

/** One tensor, as data: what goes into a run or came out of it. */
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

/** Whether the data are held as elements of this type are. */
export function holds(type: string, data: TensorData): boolean {
  if (type === 'string') return Array.isArray(data) && data.every((element) => typeof element === 'string')
  const array = arrays[type]
  return array !== undefined && data instanceof array
}
