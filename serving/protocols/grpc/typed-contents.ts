import { isUtf8 } from 'node:buffer'
import type { TensorData } from '../../../inference/tensor-value.ts'
import type { Datatype } from '../oip/datatype.ts'
import { elementCount, tensorError } from '../oip/infer-tensor.ts'

/** The message InferTensorContents: 64-bit integers as decimal texts. */
export interface TypedContents {
  readonly bool_contents?: readonly boolean[]
  readonly int_contents?: readonly number[]
  readonly int64_contents?: readonly string[]
  readonly uint_contents?: readonly number[]
  readonly uint64_contents?: readonly string[]
  readonly fp32_contents?: readonly number[]
  readonly fp64_contents?: readonly number[]
  readonly bytes_contents?: readonly Uint8Array[]
}

const fields: Readonly<Record<Exclude<Datatype, 'FP16'>, keyof TypedContents>> = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
}

/**
 * The elements of a tensor in typed contents.
 *
 * @param tensor names it in errors
 * @throws LockstepError `INVALID_REQUEST` where they are in another field, are not as many as the shape says, or one is
 *   not of the datatype
 */
export function readContents(datatype: Datatype, shape: readonly number[], contents: TypedContents | null, tensor: string): TensorData {
  if (datatype === 'FP16') throw tensorError(tensor, 'is FP16, which has no typed contents. Send it in raw_input_contents')
  const field = fields[datatype]
  const other = Object.entries(contents ?? {}).find(([name, elements]) => name !== field && (elements as readonly unknown[]).length > 0)
  if (other !== undefined) throw tensorError(tensor, `is ${datatype} but has ${other[0]}; send its elements as ${field}`)
  const elements = contents?.[field] ?? []
  const count = elementCount(shape)
  if (elements.length !== count) {
    throw tensorError(tensor, `has ${elements.length} elements in ${field}, but its shape [${shape.join(', ')}] needs ${count}`)
  }
  switch (datatype) {
    case 'BOOL':
      return Uint8Array.from(elements as readonly boolean[], Number)
    case 'INT8':
      return narrow(new Int8Array(count), elements as readonly number[], datatype, tensor)
    case 'INT16':
      return narrow(new Int16Array(count), elements as readonly number[], datatype, tensor)
    case 'INT32':
      return Int32Array.from(elements as readonly number[])
    case 'INT64':
      return BigInt64Array.from(elements as readonly string[], BigInt)
    case 'UINT8':
      return narrow(new Uint8Array(count), elements as readonly number[], datatype, tensor)
    case 'UINT16':
      return narrow(new Uint16Array(count), elements as readonly number[], datatype, tensor)
    case 'UINT32':
      return Uint32Array.from(elements as readonly number[])
    case 'UINT64':
      return BigUint64Array.from(elements as readonly string[], BigInt)
    case 'FP32':
      return Float32Array.from(elements as readonly number[])
    case 'FP64':
      return Float64Array.from(elements as readonly number[])
    case 'BYTES':
      return (elements as readonly Buffer[]).map((element, index) => {
        if (!isUtf8(element)) throw tensorError(tensor, `has an element, ${index}, that is not UTF-8; models take strings`)
        return element.toString()
      })
    default:
      return datatype satisfies never
  }
}

/** null for FP16, which has no typed contents. */
export function writeContents(datatype: Datatype, data: TensorData): TypedContents | null {
  switch (datatype) {
    case 'FP16':
      return null
    case 'BOOL':
      return { bool_contents: Array.from(data as Uint8Array, (element) => element === 1) }
    case 'INT64':
    case 'UINT64':
      return { [fields[datatype]]: Array.from(data as BigInt64Array | BigUint64Array, String) }
    case 'BYTES':
      return { bytes_contents: (data as readonly string[]).map((text) => Buffer.from(text)) }
    default:
      return { [fields[datatype]]: Array.from(data as Float64Array) }
  }
}

/** The message carries them as 32 bits. */
function narrow<Data extends Int8Array | Int16Array | Uint8Array | Uint16Array>(
  into: Data,
  elements: readonly number[],
  datatype: Datatype,
  tensor: string,
): Data {
  for (const [index, element] of elements.entries()) {
    into[index] = element
    if (into[index] !== element) throw tensorError(tensor, `has the element ${element}, which is not ${datatype}`)
  }
  return into
}
