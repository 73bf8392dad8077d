import { parseTimestamp } from '../kernel/values/time.ts'
import type { Value } from '../kernel/values/value-type.ts'

/** Reads a value back from JSON. */
export type Decode = (json: unknown) => Value | null

const list = /^list\((\w+)( or null)?\)$/

/**
 * Makes a reader of values of a type, by the server's name of it (`int64`, `vector(3)`, `list(string or null)`). An
 * int64 becomes a bigint, a timestamp epoch microseconds, a vector a Float32Array, counts a Map. A value of an unknown
 * type stays as JSON has it.
 */
function decoderOf(type: string): Decode {
  const [, element, nulls] = list.exec(type) ?? []
  if (element !== undefined) {
    const decode = nulls === undefined && isFloat(element) ? nanForNull : orNull(decodeScalar(element))
    return orNull((json) => (json as unknown[]).map((each) => decode(each) as never))
  }
  return orNull(decodeScalar(type))
}

/** The value of a float that JSON cannot express (`INVALID`). The server does not say which one it was. */
const invalidFloat = Number.NaN

function isFloat(type: string): boolean {
  return type === 'float32' || type === 'float64'
}

const orNull =
  (decode: (json: unknown) => Value): Decode =>
  (json) =>
    json === null || json === undefined ? null : decode(json)

const nanForNull: Decode = (json) => (json === null ? invalidFloat : Number(json))

function decodeScalar(type: string): (json: unknown) => Value {
  switch (type) {
    case 'int64':
      return (json) => BigInt(json as string | number)
    case 'timestamp':
      return (json) => parseTimestamp(json as string)
    case 'int32':
    case 'float32':
    case 'float64':
      return Number
    case 'counts':
      return (json) => new Map(Object.entries(json as Record<string, unknown>).map(([category, count]) => [category, Number(count)]))
    default:
      if (type.startsWith('vector(')) return (json) => Float32Array.from(json as unknown[], (each) => nanForNull(each) as number)
      return (json) => json as Value
  }
}

/** Compiled reader of named values. `statuses` of the same names: an `INVALID` float is NaN, not null. */
export function recordDecoder(
  types: Readonly<Record<string, string>>,
): (record: Readonly<Record<string, unknown>>, statuses?: Readonly<Record<string, string>>) => Record<string, Value | null> {
  const columns = Object.entries(types).map(([name, type]) => ({ name, decode: decoderOf(type), float: isFloat(type) }))
  return (record, statuses) =>
    Object.fromEntries(
      columns.map(({ name, decode, float }) => [name, float && statuses?.[name] === 'INVALID' ? invalidFloat : decode(record[name])]),
    )
}

/** Compiled reader of named columns. `statuses`: the rows by name and status; an `INVALID` float is NaN, not null. */
export function columnsDecoder(
  types: Readonly<Record<string, string>>,
): (
  columns: Readonly<Record<string, readonly unknown[]>>,
  statuses?: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>,
) => Record<string, (Value | null)[]> {
  const decoders = Object.entries(types).map(([name, type]) => ({ name, decode: decoderOf(type), float: isFloat(type) }))
  return (columns, statuses) =>
    Object.fromEntries(
      decoders.map(({ name, decode, float }) => {
        const values = (columns[name] ?? []).map(decode)
        for (const row of float ? (statuses?.[name]?.['INVALID'] ?? []) : []) values[row] = invalidFloat
        return [name, values]
      }),
    )
}
