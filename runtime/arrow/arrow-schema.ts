import type { ValueType } from '../../kernel/values/value-type.ts'
import type { FlatField } from './flat-buffer.ts'
import { FlatBuffer } from './flat-buffer.ts'

/** A column of a table. */
export interface ArrowField {
  readonly name: string
  readonly type: ValueType
  readonly nullable: boolean
}

/** Of Arrow's `Message.fbs` and `Schema.fbs` (https://github.com/apache/arrow/tree/main/format). */
export const messageHeader = { schema: 1, recordBatch: 3 } as const
const version5: FlatField = { size: 2, value: 4 }

/** The name of the schema's metadata, whose value is JSON. */
const metadataKey = 'lockstep'

/** Begins a message. @returns the place of the reference to its header */
export function beginMessage(out: FlatBuffer, header: number, bodyBytes: number): number {
  const [at] = out.table(out.root(), [version5, { size: 1, value: header }, 'ref', { size: 8, value: bodyBytes }])
  return at as number
}

/**
 * A schema message up to the text of its metadata, which comes last: it can be kept, and used with any text
 * (`withMetadata`).
 */
export function schemaTemplate(fields: readonly ArrowField[]): Uint8Array {
  const out = new FlatBuffer()
  const [fieldsAt, metadataAt] = out.table(beginMessage(out, messageHeader.schema, 0), [{ size: 2, value: 0 }, 'ref', 'ref']) as [
    number,
    number,
  ]
  writeFields(out, fieldsAt, fields.map(arrowField))
  const [pairAt] = out.references(metadataAt, 1) as [number]
  const [keyAt, valueAt] = out.table(pairAt, ['ref', 'ref']) as [number, number]
  out.text(keyAt, metadataKey)
  out.text(valueAt, '')
  const empty = 4 + 1
  return out.bytes.slice(0, out.bytes.length - empty)
}

/** The schema message of a template. */
export function withMetadata(template: Uint8Array, text: string): Buffer {
  const bytes = Buffer.byteLength(text)
  const message = Buffer.alloc(template.length + 4 + bytes + 1)
  message.set(template)
  message.writeUInt32LE(bytes, template.length)
  message.write(text, template.length + 4)
  return message
}

interface Field {
  readonly name: string
  readonly nullable: boolean
  readonly type: Type
  readonly children: readonly Field[]
}

interface Type {
  /** Its number in the union `Type`. */
  readonly id: number
  readonly fields: readonly FlatField[]
  readonly timeZone?: string
}

const int = (bits: 32 | 64): Type => ({
  id: 2,
  fields: [
    { size: 4, value: bits },
    { size: 1, value: 1 },
  ],
})
const float = (precision: 1 | 2): Type => ({ id: 3, fields: [{ size: 2, value: precision }] })
const utf8: Type = { id: 5, fields: [] }
const bool: Type = { id: 6, fields: [] }
const timestampMicros: Type = { id: 10, fields: [{ size: 2, value: 2 }, 'ref'], timeZone: 'UTC' }
const list: Type = { id: 12, fields: [] }
const struct: Type = { id: 13, fields: [] }
const fixedSizeList = (size: number): Type => ({ id: 16, fields: [{ size: 4, value: size }] })
const map: Type = { id: 17, fields: [{ size: 1, value: 0 }] }

function arrowField({ name, type, nullable }: ArrowField): Field {
  switch (type.kind) {
    case 'vector':
      return { name, nullable, type: fixedSizeList(type.length), children: [leaf('item', 'float32', false)] }
    case 'list':
      return { name, nullable, type: list, children: [leaf('item', type.of.kind, type.nulls)] }
    case 'counts': {
      const entries = [leaf('key', 'string', false), leaf('value', 'int64', false)]
      return { name, nullable, type: map, children: [{ name: 'entries', nullable: false, type: struct, children: entries }] }
    }
    default:
      return leaf(name, type.kind, nullable)
  }
}

type ScalarKind = Exclude<ValueType['kind'], 'vector' | 'list' | 'counts'>

const scalars: Readonly<Record<ScalarKind, Type>> = {
  bool,
  int32: int(32),
  int64: int(64),
  float32: float(1),
  float64: float(2),
  string: utf8,
  timestamp: timestampMicros,
}

function leaf(name: string, kind: ScalarKind, nullable: boolean): Field {
  return { name, nullable, type: scalars[kind], children: [] }
}

function writeFields(out: FlatBuffer, ref: number, fields: readonly Field[]): void {
  const places = out.references(ref, fields.length)
  for (const [f, { name, nullable, type, children }] of fields.entries()) {
    const [nameAt, typeAt, childrenAt] = out.table(places[f] as number, [
      'ref',
      { size: 1, value: nullable ? 1 : 0 },
      { size: 1, value: type.id },
      'ref',
      null,
      'ref',
    ]) as [number, number, number]
    out.text(nameAt, name)
    const [zoneAt] = out.table(typeAt, type.fields)
    if (zoneAt !== undefined) out.text(zoneAt, type.timeZone ?? '')
    writeFields(out, childrenAt, children)
  }
}
