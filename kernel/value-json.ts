import { LockstepError } from './errors.ts'
import { formatTimestamp, parseTimestamp } from './time.ts'
import type { Value, ValueType } from './value-type.ts'
import { checkValue } from './value-type.ts'
import type { JsonValue } from './view-spec.ts'

/**
 * A value as plain JSON that reads back exactly: int64 as a decimal string, timestamp as RFC 3339, NaN and the infinities as strings, a vector as an
 * array of numbers.
 */
export function valueToJson(type: ValueType, value: Value | null): JsonValue {
  if (value === null) return null
  switch (type.kind) {
    case 'int64':
      return String(value)
    case 'timestamp':
      return formatTimestamp(value as number)
    case 'float32':
    case 'float64':
      return Number.isFinite(value) ? (value as number) : String(value)
    case 'vector':
      return [...(value as Float32Array)]
    default:
      return value as boolean | number | string
  }
}

const decimal = /^[+-]?\d{1,19}$/

/**
 * The inverse of `valueToJson`, lenient where people write JSON by hand: int64 also as a number or bigint, timestamp also as epoch microseconds.
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
      if (json === 'NaN' || json === 'Infinity' || json === '-Infinity') return Number(json)
      return checkValue(type, json, what)
    case 'vector':
      if (Array.isArray(json) && json.every((v) => typeof v === 'number')) return checkValue(type, new Float32Array(json), what)
      return checkValue(type, json, what)
    default:
      return checkValue(type, json, what)
  }
}
