import { LockstepError } from '../errors.ts'
import { formatTimestamp, parseTimestamp } from './time.ts'
import type { CountsValue, ListValue, Value, ValueType } from './value-type.ts'
import { checkValue } from './value-type.ts'
import type { JsonValue } from '../specs/view-spec.ts'

/**
 * Converts a value to plain JSON without loss. int64 becomes a decimal string, timestamp RFC 3339, and NaN and the
 * infinities strings. A vector becomes an array of such numbers, a list an array of such values, and counts an object.
 */
export function valueToJson(type: ValueType, value: Value | null): JsonValue {
  if (value === null) return null
  switch (type.kind) {
    case 'int64':
      return (value as bigint).toString()
    case 'timestamp':
      return formatTimestamp(value as number)
    case 'float32':
    case 'float64':
      return floatJson(value as number)
    case 'vector':
      return Array.from(value as Float32Array, floatJson)
    case 'list':
      return (value as ListValue).map((v) => valueToJson(type.of, v))
    case 'counts':
      return Object.fromEntries(value as CountsValue)
    default:
      return value as boolean | number | string
  }
}

function floatJson(value: number): number | string {
  return Number.isFinite(value) ? value : value.toString()
}

/**
 * The number with the fewest decimal digits that rounds to this float32. For example 0.1, where a float64 shows
 * 0.10000000149011612.
 */
export function shortFloat32(value: number): number {
  const size = Math.abs(value)
  if (!Number.isFinite(value) || (size < 2 ** 24 && Number.isInteger(value))) return value
  // six digits suffice for all but the smallest; numbers that need fewer end in zeros
  for (let digits = size < 2 ** -126 ? 1 : 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}

/** Counts as the text of a JSON object, in their own order. A JavaScript object would put keys such as "404" first. */
export function countsJson(counts: CountsValue): string {
  return `{${Array.from(counts, ([category, count]) => `${JSON.stringify(category)}:${count}`).join()}}`
}

function isNamedFloat(json: unknown): boolean {
  return json === 'NaN' || json === 'Infinity' || json === '-Infinity'
}

const decimal = /^[+-]?\d{1,19}$/
const elementOfVector = { kind: 'float32' } as const

/**
 * The inverse of `valueToJson`. To accept JSON written by hand, it also takes an int64 as a number or bigint, and a
 * timestamp as epoch microseconds.
 *
 * @throws LockstepError `INVALID_TYPE` or `INVALID_TIME`; `what` names the place
 */
export function valueFromJson(type: ValueType, json: unknown, what: string): Value | null {
  if (json === null) return null
  switch (type.kind) {
    case 'int64':
      if (typeof json === 'string' && decimal.test(json)) return checkValue(type, BigInt(json), what)
      if (Number.isSafeInteger(json)) return BigInt(json as number)
      return checkValue(type, json, what)
    case 'timestamp':
      if (typeof json === 'string') {
        try {
          return parseTimestamp(json)
        } catch (cause) {
          throw new LockstepError('INVALID_TIME', `${what}: ${(cause as Error).message}`, { cause })
        }
      }
      return checkValue(type, json, what)
    case 'float32':
    case 'float64':
      return isNamedFloat(json) ? Number(json) : checkValue(type, json, what)
    case 'vector': {
      if (!Array.isArray(json)) return checkValue(type, json, what)
      const vector = new Float32Array(json.length) // filled by a loop, as Float32Array.from takes ten times as long
      for (let i = 0; i < json.length; i++) {
        const v: unknown = json[i]
        if (typeof v === 'number') vector[i] = v
        else if (typeof v === 'bigint' || isNamedFloat(v)) vector[i] = Number(v)
        else checkValue(elementOfVector, v, `${what}, element ${i},`)
      }
      return checkValue(type, vector, what)
    }
    case 'list':
      if (!Array.isArray(json)) return checkValue(type, json, what)
      return checkValue(
        type,
        json.map((v, i) => valueFromJson(type.of, v, `${what}, element ${i},`)),
        what,
      )
    case 'counts':
      if (typeof json !== 'object' || Array.isArray(json)) return checkValue(type, json, what)
      return checkValue(type, new Map(Object.entries(json)), what)
    default:
      return checkValue(type, json, what)
  }
}
