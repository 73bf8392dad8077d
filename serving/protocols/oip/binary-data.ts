import { isUtf8 } from 'node:buffer'
import type { TensorData } from '../../../inference/tensor-value.ts'
import type { Datatype } from './datatype.ts'
import { elementBytes } from './datatype.ts'
import { elementCount, tensorError } from './infer-tensor.ts'

type Elements = Exclude<TensorData, readonly string[]>

/**
 * What views bytes as elements. Little-endian, as the protocol is and as every machine is that ONNX Runtime is built
 * for.
 */
const views: Readonly<Record<Exclude<Datatype, 'BYTES'>, new (buffer: ArrayBufferLike, offset: number, length: number) => Elements>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
}

/**
 * The elements of a tensor in binary: without a copy where the bytes lie at a multiple of the element's size, so the
 * bytes must stay as they are.
 *
 * @param tensor names it in errors
 * @throws LockstepError `INVALID_REQUEST` where the bytes are not as many as the shape needs, a BOOL is neither 0 nor
 *   1, or a BYTES element is cut or no UTF-8
 */
export function readBinary(datatype: Datatype, shape: readonly number[], bytes: Uint8Array, tensor: string): TensorData {
  const count = elementCount(shape)
  if (!Number.isSafeInteger(count))
    throw tensorError(tensor, `has shape [${shape.join(', ')}], which needs more elements than a request can carry`)
  if (datatype === 'BYTES') return readTexts(count, bytes, tensor)
  const size = elementBytes(datatype) as number
  if (bytes.byteLength !== count * size) {
    throw tensorError(tensor, `has ${bytes.byteLength} bytes, but ${datatype} of shape [${shape.join(', ')}] needs ${count * size}`)
  }
  const isAligned = bytes.byteOffset % size === 0
  const at = isAligned ? bytes : new Uint8Array(bytes)
  const data = new views[datatype](at.buffer, at.byteOffset, count)
  if (datatype === 'BOOL' && data.some((element) => element > 1))
    throw tensorError(tensor, 'is BOOL, but has a byte that is neither 0 nor 1')
  return data
}

/** The tensor in binary: the data's own bytes, not copied, except BYTES. */
export function writeBinary(data: TensorData): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const texts: readonly string[] = data
  let size = 0
  for (const text of texts) size += 4 + Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const text of texts) {
    const length = bytes.write(text, at + 4)
    bytes.writeUInt32LE(length, at)
    at += 4 + length
  }
  return bytes
}

/** BYTES: each element is its length as uint32, then so many bytes. */
function readTexts(count: number, bytes: Uint8Array, tensor: string): string[] {
  if (bytes.byteLength < 4 * count) throw cut(count, tensor)
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts = new Array<string>(count)
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 4 > buffer.length) throw cut(count, tensor)
    const end = at + 4 + buffer.readUInt32LE(at)
    if (end > buffer.length) throw cut(count, tensor)
    const element = buffer.subarray(at + 4, end)
    if (!isUtf8(element)) throw tensorError(tensor, `has an element, ${i}, that is not UTF-8; models take strings`)
    texts[i] = element.toString()
    at = end
  }
  if (at !== buffer.length) throw tensorError(tensor, `has ${buffer.length - at} bytes after its ${count} elements`)
  return texts
}

function cut(count: number, tensor: string): Error {
  return tensorError(tensor, `ends inside its ${count} elements; write each as its length (uint32, little-endian) and its bytes`)
}
