import type { ProtobufField } from './protobuf-fields.ts'
import { protobufFields } from './protobuf-fields.ts'

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** Bytes in parts, so that large weights are copied once, when the parts are joined. */
export type Parts = readonly Uint8Array[]

/**
 * Replaces fields of a protobuf message.
 *
 * @param edit returns what stands in place of a field; null: the field stays
 * @returns null if every field stays
 */
export function editMessage(message: Uint8Array, edit: (field: ProtobufField) => Parts | null): Parts | null {
  const parts: Uint8Array[] = []
  let copied = 0
  for (const field of protobufFields(message)) {
    const made = edit(field)
    if (made === null) continue
    parts.push(message.subarray(copied, field.from))
    for (const part of made) parts.push(part)
    copied = field.to
  }
  return copied === 0 ? null : [...parts, message.subarray(copied)]
}

/** A field whose value is a message, a text or bytes. */
export function partsField(number: number, value: Parts): Parts {
  const length = value.reduce((sum, part) => sum + part.length, 0)
  return [Uint8Array.from([...varint(number * 8 + 2), ...varint(length)]), ...value]
}

/** A field whose value is a whole number of at least 0. */
export function wholeField(number: number, value: number): Parts {
  return [Uint8Array.from([...varint(number * 8), ...varint(value)])]
}

/** A field whose value is a text, which is left out if it is empty. */
export function textField(number: number, text: string): Parts {
  return text === '' ? [] : partsField(number, [encoder.encode(text)])
}

/** The text of a field, which counts once: the last one; '' if there is none. */
export function textOf(message: Uint8Array, wanted: number): string {
  let text = ''
  for (const { number, bytes } of protobufFields(message)) if (number === wanted) text = decoder.decode(bytes)
  return text
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return [...bytes, rest]
}
