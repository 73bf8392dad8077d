import type { Value } from '../../kernel/values/value-type.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { ArrowBody } from './arrow-body.ts'
import type { ArrowField } from './arrow-schema.ts'
import { beginMessage, messageHeader, schemaTemplate, withMetadata } from './arrow-schema.ts'
import { FlatBuffer } from './flat-buffer.ts'

const templateOf = memoizeWeak(schemaTemplate)
/** Marks a message; without a length after it, it ends the stream. */
const continuation = 0xff_ff_ff_ff
const prefixBytes = 8

/**
 * A table as an Arrow IPC stream: the schema, one record batch, the end
 * (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format).
 *
 * @param fields what is made of them is kept as long as this array
 * @param columns by index of the fields, each with `rows` values
 * @param metadata JSON, the value of `lockstep` in the metadata of the schema
 */
export function arrowStream(
  fields: readonly ArrowField[],
  columns: readonly (readonly (Value | null)[])[],
  rows: number,
  metadata: string,
): Uint8Array<ArrayBuffer> {
  return messages([{ message: withMetadata(templateOf(fields), metadata) }, batchOf(fields, columns, rows)], true)
}

/** The beginning of a stream of several batches: `arrowBatch` continues it, and `arrowEnd` ends it. */
export function arrowHead(fields: readonly ArrowField[]): Uint8Array {
  return messages([{ message: withMetadata(templateOf(fields), '{}') }], false)
}

/** @param columns as for `arrowStream` */
export function arrowBatch(fields: readonly ArrowField[], columns: readonly (readonly (Value | null)[])[], rows: number): Uint8Array {
  return messages([batchOf(fields, columns, rows)], false)
}

/** The end of a stream. A stream without it was cut off. */
export const arrowEnd: Uint8Array = messages([], true)

interface Message {
  readonly message: Uint8Array
  readonly body?: ArrowBody
}

function batchOf(fields: readonly ArrowField[], columns: readonly (readonly (Value | null)[])[], rows: number): Message {
  const body = new ArrowBody()
  for (const [f, { type }] of fields.entries()) body.add(type, columns[f] as readonly (Value | null)[])
  return { message: batchMessage(body, rows), body }
}

function messages(all: readonly Message[], ends: boolean): Uint8Array<ArrayBuffer> {
  const size = all.reduce((sum, { message, body }) => sum + prefixBytes + aligned(message.length) + (body?.bytes ?? 0), 0)
  const bytes = new Uint8Array(size + (ends ? prefixBytes : 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const { message, body } of all) {
    at = putMessage(bytes, view, at, message)
    body?.writeTo(bytes, at)
    at += body?.bytes ?? 0
  }
  if (ends) view.setUint32(at, continuation, true)
  return bytes
}

function batchMessage(body: ArrowBody, rows: number): Uint8Array {
  const out = new FlatBuffer()
  const [nodesAt, buffersAt] = out.table(beginMessage(out, messageHeader.recordBatch, body.bytes), [
    { size: 8, value: rows },
    'ref',
    'ref',
  ]) as [number, number]
  out.pairs(nodesAt, body.nodes)
  out.pairs(buffersAt, body.buffers)
  return out.bytes
}

/** @returns where the next one begins */
function putMessage(bytes: Uint8Array, view: DataView, at: number, message: Uint8Array): number {
  view.setUint32(at, continuation, true)
  view.setUint32(at + 4, aligned(message.length), true)
  bytes.set(message, at + prefixBytes)
  return at + prefixBytes + aligned(message.length)
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 8) * 8
}
