import { shown } from '../../../kernel/values/parse-value.ts'
import type { TensorData } from '../../../inference/tensor-value.ts'
import type { Datatype } from './datatype.ts'
import { elementCount, tensorError } from './infer-tensor.ts'

/**
 * The elements of a tensor in JSON: flat, row after row, or nested as the shape says. An integer that a number cannot
 * hold exactly is a bigint (`parseJson`). `null` is NaN where the datatype has it.
 *
 * @param tensor names it in errors
 * @throws LockstepError `INVALID_REQUEST` where there are not as many as the shape says, or one is not of the datatype,
 *   or the datatype is FP16
 */
export function readJson(datatype: Datatype, shape: readonly number[], data: unknown, tensor: string): TensorData {
  if (!Array.isArray(data)) throw tensorError(tensor, 'has no "data"; send its elements as an array, or in binary with "binary_data_size"')
  const values = Array.isArray(data[0]) ? nested(data, shape, tensor) : (data as readonly unknown[])
  const count = elementCount(shape)
  if (values.length !== count) {
    throw tensorError(tensor, `has ${values.length} elements, but its shape [${shape.join(', ')}] needs ${count}`)
  }
  switch (datatype) {
    case 'FP32':
      return floats(new Float32Array(count), values, datatype, tensor)
    case 'FP64':
      return floats(new Float64Array(count), values, datatype, tensor)
    case 'INT8':
      return integers(new Int8Array(count), values, datatype, tensor)
    case 'INT16':
      return integers(new Int16Array(count), values, datatype, tensor)
    case 'INT32':
      return integers(new Int32Array(count), values, datatype, tensor)
    case 'UINT8':
      return integers(new Uint8Array(count), values, datatype, tensor)
    case 'UINT16':
      return integers(new Uint16Array(count), values, datatype, tensor)
    case 'UINT32':
      return integers(new Uint32Array(count), values, datatype, tensor)
    case 'INT64':
      return longs(new BigInt64Array(count), values, datatype, tensor)
    case 'UINT64':
      return longs(new BigUint64Array(count), values, datatype, tensor)
    case 'BOOL':
      return Uint8Array.from(values, (value) => {
        if (value === true || value === 1) return 1
        if (value === false || value === 0) return 0
        throw notOf(datatype, value, tensor)
      })
    case 'BYTES':
      return values.map((value) => {
        if (typeof value === 'string' && value.isWellFormed()) return value
        throw notOf(datatype, value, tensor)
      })
    case 'FP16':
      throw tensorError(tensor, 'is FP16, which JSON cannot represent; send it in binary')
    default:
      return datatype satisfies never
  }
}

/** JSON of a tensor's elements, flat. */
export interface JsonData {
  readonly json: string
  /** How many elements are null, because JSON cannot represent NaN and the infinities. */
  readonly nulls: number
}

/** @throws LockstepError `INVALID_REQUEST` for FP16 */
export function writeJson(datatype: Datatype, data: TensorData, tensor: string): JsonData {
  switch (datatype) {
    case 'FP32':
    case 'FP64':
      return writeFloats(data as Float32Array | Float64Array)
    case 'BOOL':
      return { json: `[${Array.from(data as Uint8Array, (element) => element === 1).join()}]`, nulls: 0 }
    case 'BYTES':
      return { json: JSON.stringify(data), nulls: 0 }
    case 'FP16':
      throw tensorError(tensor, 'is FP16, which JSON cannot represent; request it in binary with the parameter "binary_data"')
    default:
      return { json: `[${data.join()}]`, nulls: 0 }
  }
}

function writeFloats(data: Float32Array | Float64Array): JsonData {
  let nulls = 0
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) nulls++
  if (nulls === 0) return { json: `[${data.join()}]`, nulls }
  return { json: `[${Array.from(data, (element) => (Number.isFinite(element) ? String(element) : 'null')).join()}]`, nulls }
}

/** Flat, once every level has been found to be as long as the shape says. */
function nested(data: readonly unknown[], shape: readonly number[], tensor: string): unknown[] {
  const values: unknown[] = []
  const visit = (part: unknown, axis: number): void => {
    if (axis === shape.length) {
      values.push(part)
      return
    }
    if (!Array.isArray(part) || part.length !== shape[axis]) {
      const found = Array.isArray(part) ? `an array of ${part.length}` : shown(part)
      throw tensorError(tensor, `has ${found} where its shape [${shape.join(', ')}] needs an array of ${shape[axis] ?? 0}`)
    }
    for (const inner of part) visit(inner, axis + 1)
  }
  visit(data, 0)
  return values
}

function floats<Data extends Float32Array | Float64Array>(
  into: Data,
  values: readonly unknown[],
  datatype: Datatype,
  tensor: string,
): Data {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (typeof value === 'number' || typeof value === 'bigint') {
      into[i] = Number(value)
      // JSON writes finite numbers alone: one that reads as infinite does not fit
      if (!Number.isFinite(into[i])) throw tensorError(tensor, `has the element ${shown(value)}, which is outside the range of ${datatype}`)
    } else if (value === null) into[i] = Number.NaN
    else throw notOf(datatype, value, tensor)
  }
  return into
}

type Integers = Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array

function integers<Data extends Integers>(into: Data, values: readonly unknown[], datatype: Datatype, tensor: string): Data {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (typeof value !== 'number') throw notOf(datatype, value, tensor)
    into[i] = value
    // the array rounds and wraps what it cannot hold
    if (into[i] !== value) throw notOf(datatype, value, tensor)
  }
  return into
}

function longs<Data extends BigInt64Array | BigUint64Array>(
  into: Data,
  values: readonly unknown[],
  datatype: Datatype,
  tensor: string,
): Data {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) throw notOf(datatype, value, tensor)
    const exact = BigInt(value as bigint | number)
    into[i] = exact
    if (into[i] !== exact) throw notOf(datatype, value, tensor)
  }
  return into
}

function notOf(datatype: Datatype, value: unknown, tensor: string): Error {
  return tensorError(tensor, `has the element ${shown(value)}, which is not ${datatype}`)
}
