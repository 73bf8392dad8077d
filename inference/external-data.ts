import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, isAbsolute, relative, resolve, sep } from 'node:path'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { Parts } from './edit-message.ts'
import { editMessage, partsField } from './edit-message.ts'
import { parseOnnxMetadata } from './onnx-metadata.ts'
import { protobufFields } from './protobuf-fields.ts'

/** Where the values of a tensor are, as its file says. */
interface Place {
  readonly location: string
  readonly offset: number
  /** null: up to the end of the file. */
  readonly length: number | null
}

const decoder = new TextDecoder()
/** The maximum size of a protobuf message, which a model file is. */
const maxMessageBytes = 2 ** 31 - 1

/**
 * The model as one file, with the values that lie in files beside it, such as the `model.onnx.data` of PyTorch.
 *
 * @param path of the model file, beside which those files are
 * @param maxBytes the maximum size of the model with them
 * @returns the same bytes if no values are elsewhere
 * @throws LockstepError `FILE_UNREADABLE` if such a file cannot be read; `MODEL_INVALID` if the model names a
 *   file of another folder, or values that the file does not have, or is too large with them
 */
export async function withExternalData(bytes: Uint8Array, path: string, maxBytes = maxMessageBytes): Promise<Uint8Array> {
  if (!isSplit(bytes)) return bytes
  const places: Place[] = []
  editTensors(bytes, (tensor) => {
    const place = placeOf(tensor)
    if (place !== null) places.push(place)
    return null
  })
  const files = new Map<string, Uint8Array>()
  let left = maxBytes - bytes.length
  for (const { location } of places) {
    if (files.has(location)) continue
    const file = await readBeside(path, location, left)
    if (file === null) throw tooLarge(path, maxBytes)
    files.set(location, file)
    left -= file.length
  }
  const valuesOf = (place: Place): Uint8Array => valuesAt(place, files.get(place.location) as Uint8Array, path)
  // many tensors may have the same bytes of a file
  if (places.reduce((sum, place) => sum + valuesOf(place).length, bytes.length) > maxBytes) throw tooLarge(path, maxBytes)
  const edited = editTensors(bytes, (tensor) => {
    const place = placeOf(tensor)
    return place === null ? null : withValues(tensor, valuesOf(place))
  })
  return edited === null ? bytes : Buffer.concat(edited)
}

function isSplit(bytes: Uint8Array): boolean {
  try {
    return parseOnnxMetadata(bytes).externalData.length > 0
  } catch {
    return false // what cannot be read is refused where it is inspected
  }
}

function tooLarge(path: string, maxBytes: number): LockstepError {
  return new LockstepError(
    'MODEL_INVALID',
    `The model file "${path}" has more than ${maxBytes} bytes together with the files beside it, which is the maximum of a model; export a smaller one.`,
    { details: { path, limitBytes: maxBytes } },
  )
}

/**
 * Reads a file in the folder of a model. The open does not wait, as that of a FIFO would.
 *
 * @returns null if it has more than `maxBytes`
 */
async function readBeside(path: string, location: string, maxBytes: number): Promise<Uint8Array | null> {
  const folder = resolve(dirname(path))
  const within = relative(folder, resolve(folder, location))
  // a foreign model must not make this process read any other file
  if (location === '' || within === '..' || within.startsWith(`..${sep}`) || isAbsolute(location)) {
    throw new LockstepError(
      'MODEL_INVALID',
      `The model file "${path}" has values in the file "${location}", which is not in its own folder. Save the model as one file: onnx.save_model(onnx.load("${basename(path)}"), "whole.onnx", save_as_external_data=False).`,
      { details: { path, location } },
    )
  }
  try {
    const file = await open(resolve(folder, location), constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stats = await file.stat()
      if (!stats.isFile()) throw new Error('it is not a regular file')
      return stats.size > maxBytes ? null : await file.readFile()
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new LockstepError(
      'FILE_UNREADABLE',
      `The model file "${path}" has values in the file "${location}", which cannot be read: ${messageOf(cause)}. Keep it in the folder of the model file, under this name.`,
      { cause, details: { path, location } },
    )
  }
}

function valuesAt({ location, offset, length }: Place, file: Uint8Array, path: string): Uint8Array {
  const to = length === null ? file.length : offset + length
  if (Number.isSafeInteger(offset) && offset >= 0 && to >= offset && to <= file.length) return file.subarray(offset, to)
  throw new LockstepError(
    'MODEL_INVALID',
    `The model file "${path}" has values at the bytes ${offset} to ${to} of the file "${location}", which has ${file.length} bytes. Both files must come from the same export: export the model again.`,
    { details: { path, location } },
  )
}

/** Edits the tensors that a graph and its subgraphs store. Its nesting was checked when its metadata was read. */
function editTensors(model: Uint8Array, edit: (tensor: Uint8Array) => Parts | null): Parts | null {
  const within = (number: number, made: Parts | null): Parts | null => (made === null ? null : partsField(number, made))
  const attribute = (bytes: Uint8Array): Parts | null =>
    editMessage(bytes, ({ number, bytes: field }) => {
      if (number === 5 || number === 10) return within(number, edit(field))
      return number === 6 || number === 11 ? within(number, graph(field)) : null
    })
  const node = (bytes: Uint8Array): Parts | null =>
    editMessage(bytes, ({ number, bytes: field }) => (number === 5 ? within(number, attribute(field)) : null))
  const graph = (bytes: Uint8Array): Parts | null =>
    editMessage(bytes, ({ number, bytes: field }) => {
      if (number === 1) return within(number, node(field))
      return number === 5 ? within(number, edit(field)) : null
    })
  return editMessage(model, ({ number, bytes: field }) => (number === 7 ? within(number, graph(field)) : null))
}

/** Where the values of a tensor are; null: in the tensor itself. */
function placeOf(tensor: Uint8Array): Place | null {
  const entries = new Map<string, string>()
  let external = false
  for (const { number, int32, bytes } of protobufFields(tensor)) {
    if (number === 14) external = int32 === 1
    if (number !== 13) continue
    const [key, value] = [1, 2].map((wanted) => [...protobufFields(bytes)].findLast((field) => field.number === wanted)?.bytes)
    entries.set(decoder.decode(key), decoder.decode(value))
  }
  if (!external) return null
  const length = entries.get('length')
  return {
    location: entries.get('location') ?? '',
    offset: Number(entries.get('offset') ?? 0),
    length: length === undefined ? null : Number(length),
  }
}

/** A tensor with its values as raw data. */
function withValues(tensor: Uint8Array, values: Uint8Array): Parts {
  const rest = editMessage(tensor, ({ number }) => (number === 9 || number === 13 || number === 14 ? [] : null))
  return [...(rest ?? [tensor]), ...partsField(9, [values])]
}
