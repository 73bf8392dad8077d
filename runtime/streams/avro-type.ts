import type { Schema, Type } from 'avsc'
import avro from 'avsc'
import { LockstepError, messageOf, withoutStop } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { RegisteredSchema } from './schema-registry.ts'

const { types } = avro

/** Makes JSON of Avro's binary form of a value. @throws LockstepError `INVALID_EVENT` if it is not one of its schema */
export type AvroReader = (bytes: Uint8Array) => Buffer

/**
 * Reads values by the schema that they were written with. In JSON, a record is an object, an integer is exact, bytes
 * are base64, and:
 *
 *     timestamp-millis, -micros, -nanos    RFC 3339, to the microsecond; local ones count as UTC
 *     date                                 RFC 3339, midnight UTC
 *     decimal                              a number with all its digits
 *     other logical types                  as the type beneath
 *
 * @throws LockstepError `INVALID_EVENT` if the schema is not valid
 */
export function avroReader({ schema, references }: RegisteredSchema): AvroReader {
  const type = typeOf(schema, references)
  return (bytes) => {
    try {
      return Buffer.from(JSON.stringify(plain(type, type.fromBuffer(Buffer.from(bytes)) as unknown), exactly))
    } catch (cause) {
      throw notAvro(`The message does not fit its Avro schema: ${withoutStop(cause)}.`, cause)
    }
  }
}

export function notAvro(message: string, cause?: unknown): LockstepError {
  return new LockstepError('INVALID_EVENT', message, { cause, details: { reason: 'not_avro' } })
}

function typeOf(schema: string, references: readonly string[]): Type {
  const options = { ...exact(logicalTypes), logicalTypes }
  try {
    for (const reference of references) avro.Type.forSchema(parsed(reference), options)
    return avro.Type.forSchema(parsed(schema), options)
  } catch (cause) {
    throw notAvro(`The Avro schema of the message is not valid: ${messageOf(cause)}.`, cause)
  }
}

/**
 * A type whose longs are bigints, and whose values of unions name their branches. Logical types are as those beneath.
 */
export function avroType(schema: object): Type {
  return avro.Type.forSchema(parsed(JSON.stringify(schema)), exact({}))
}

/** @param converted the logical types that have classes of their own */
function exact(converted: object) {
  const typeHook = (schema: Schema, options: object): Type | undefined => longOf(schema, converted) ?? boundedOf(schema, options)
  return { registry: { long: exactLong }, typeHook, wrapUnions: true }
}

/**
 * Messages are written with all fields, so defaults are not needed. The library cannot read defaults of exact integers.
 */
function parsed(schema: string): Schema {
  return JSON.parse(schema, (name, value: unknown) => (name === 'default' ? undefined : value)) as Schema
}

// oxlint-disable-next-line no-underscore-dangle -- what the library calls it
const exactLong = types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer(value: bigint) {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    return bytes
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
})

/** A long with attributes, of which the library would make one of its own. */
function longOf(schema: Schema, converted: object): Type | undefined {
  if (typeof schema !== 'object' || Array.isArray(schema) || !('type' in schema) || schema.type !== 'long') return undefined
  const { logicalType } = schema as { readonly logicalType?: string }
  return logicalType === undefined || !Object.hasOwn(converted, logicalType) ? exactLong : undefined
}

/** The reader of bytes of the library. */
interface Tap {
  readonly buf: Buffer
  readLong(): number
  readString(): string
  /** How many items of arrays and maps the message may still have. */
  itemsLeft?: number
}

/** Items may take no bytes: nulls, and records without fields. */
const maxEmptyItems = 1_000

/**
 * Reads the blocks of an array or a map. The library trusts the number of items that a block claims, for which a broken
 * message of a few bytes would take all of the memory, or minutes.
 */
function readBlocks(tap: Tap, readItem: () => void): void {
  for (let count = tap.readLong(); count !== 0; count = tap.readLong()) {
    // a negative count is followed by the size of the block
    if (count < 0) tap.readLong()
    tap.itemsLeft = (tap.itemsLeft ?? tap.buf.length + maxEmptyItems) - Math.abs(count)
    if (!(tap.itemsLeft >= 0)) throw new Error('an array or a map has more items than the message has bytes')
    for (let left = Math.abs(count); left > 0; left--) readItem()
  }
}

/* oxlint-disable no-underscore-dangle -- what the library calls them */
interface Readable {
  _read(tap: Tap): unknown
}

class BoundedArray extends types.ArrayType {
  _read(tap: Tap): unknown[] {
    const items = this.itemsType as unknown as Readable
    const read: unknown[] = []
    readBlocks(tap, () => read.push(items._read(tap)))
    return read
  }
}

class BoundedMap extends types.MapType {
  _read(tap: Tap): Readonly<Record<string, unknown>> {
    const values = this.valuesType as Readable
    const read: [string, unknown][] = []
    readBlocks(tap, () => read.push([tap.readString(), values._read(tap)]))
    return Object.fromEntries(read)
  }
}
/* oxlint-enable no-underscore-dangle */

function boundedOf(schema: Schema, options: object): Type | undefined {
  if (typeof schema !== 'object' || Array.isArray(schema) || !('type' in schema)) return undefined
  return schema.type === 'array' ? new BoundedArray(schema, options) : schema.type === 'map' ? new BoundedMap(schema, options) : undefined
}

/** A logical type that is only read. */
function readAs(read: (value: never, schema: Readonly<Record<string, unknown>>) => unknown): typeof types.LogicalType {
  return class extends types.LogicalType {
    readonly #schema: Readonly<Record<string, unknown>>
    constructor(schema: Schema, options: object) {
      super({ ...(schema as object), logicalType: undefined } as never, options)
      this.#schema = schema as unknown as Readonly<Record<string, unknown>>
    }
    protected override _fromValue(value: unknown): unknown {
      return read(value as never, this.#schema)
    }
    protected override _toValue(): never {
      throw new Error('It is only read.')
    }
    protected override _resolve(): undefined {}
  }
}

const microsPer = (perMicro: bigint, microsEach: bigint) =>
  readAs((value: bigint) => {
    const micros = perMicro === 1n ? value * microsEach : (value - (((value % perMicro) + perMicro) % perMicro)) / perMicro
    if (micros > Number.MAX_SAFE_INTEGER || micros < Number.MIN_SAFE_INTEGER) throw new Error(`the time ${value} is out of range`)
    return formatTimestamp(Number(micros))
  })

const [millis, micros, nanos] = [microsPer(1n, 1_000n), microsPer(1n, 1n), microsPer(1_000n, 1n)]
const logicalTypes = {
  'timestamp-millis': millis,
  'timestamp-micros': micros,
  'timestamp-nanos': nanos,
  'local-timestamp-millis': millis,
  'local-timestamp-micros': micros,
  'local-timestamp-nanos': nanos,
  date: readAs((days: number) => formatTimestamp(days * 86_400_000_000)),
  decimal: readAs((bytes: Buffer, { scale }) => numberOf(decimalText(bytes, typeof scale === 'number' ? scale : 0))),
}

/**
 * A number of any length in JSON. The compiler does not know the function, which all versions of Node have that run
 * Kafka.
 */
const numberOf = (JSON as unknown as { rawJSON(text: string): object }).rawJSON

/** The two's complement of an integer, divided by a power of ten. */
function decimalText(bytes: Buffer, scale: number): string {
  const unscaled = bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`))
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  return unscaled < 0n ? `-${text}` : text
}

/** A value without the names of the branches of unions. */
function plain(type: Type, value: unknown): unknown {
  if (type instanceof types.RecordType) {
    const record = value as Readonly<Record<string, unknown>>
    return Object.fromEntries(type.fields.map((field) => [field.name, plain(field.type, record[field.name])]))
  }
  if (type instanceof types.ArrayType) return (value as unknown[]).map((item) => plain(type.itemsType, item))
  if (type instanceof types.MapType) {
    const entries = Object.entries(value as Readonly<Record<string, unknown>>)
    return Object.fromEntries(entries.map(([name, each]) => [name, plain(type.valuesType, each)]))
  }
  if (!(type instanceof types.WrappedUnionType) || value === null) return value
  const [branch = '', inner] = Object.entries(value as object)[0] ?? []
  const of = type.types.find(({ branchName }) => branchName === branch)
  return of === undefined ? inner : plain(of, inner)
}

function exactly(this: unknown, name: string, value: unknown): unknown {
  // a Buffer has become an object already
  const own: unknown = Reflect.get(this as object, name)
  if (own instanceof Uint8Array) return Buffer.from(own).toString('base64')
  if (typeof value === 'bigint') return numberOf(String(value))
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`"${name}" is ${value}; send null`)
  return value
}
