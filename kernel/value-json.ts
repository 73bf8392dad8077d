import { LockstepError } from './errors.ts'
import { formatTimestamp, parseTimestamp } from './time.ts'
import type { CountsValue, ListValue, Value, ValueType } from './value-type.ts'
import { checkValue } from './value-type.ts'
import type { JsonValue } from './view-spec.ts'

/**
 * A value as plain JSON that reads back exactly: int64 as a decimal string, timestamp as RFC 3339, NaN and the
 * infinities as strings, a vector as an array of such numbers, a list as an array of such values, counts as an object.
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
 * The shortest decimal that a float32 is the nearest to, as its own number: 0.1 of the float32 that a float64 shows as
 * 0.10000000149011612.
 */
export function shortFloat32(value: number): number {
  const size = Math.abs(value)
  if (!Number.isFinite(value) || (size < 2 ** 24 && Number.isInteger(value))) return value
  // six digits tell all but the smallest apart; what needs fewer ends in zeros
  for (let digits = size < 2 ** -126 ? 1 : 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}

/** Counts as the text of a JSON object, in their own order: an object of JavaScript puts keys such as "404" first. */
export function countsJson(counts: CountsValue): string {
  return `{${Array.from(counts, ([category, count]) => `${JSON.stringify(category)}:${count}`).join()}}`
}

function isNamedFloat(json: unknown): boolean {
  return json === 'NaN' || json === 'Infinity' || json === '-Infinity'
}

const decimal = /^[+-]?\d{1,19}$/

/**
 * The inverse of `valueToJson`, lenient where people write JSON by hand: int64 also as a number or bigint, timestamp
 * also as epoch microseconds.
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
    case 'vector':
      if (Array.isArray(json) && json.every((v) => typeof v === 'number' || isNamedFloat(v)))
        return checkValue(type, Float32Array.from(json, Number), what)
      return checkValue(type, json, what)
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
