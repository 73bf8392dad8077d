import { LockstepError } from '../errors.ts'
import { valueFromJson } from './value-json.ts'
import type { Value, ValueType } from './value-type.ts'
import { isValueOf, show, typeName } from './value-type.ts'

/**
 * Parses a value that a client sent as JSON; integers beyond 2^53 were read as bigint. Values that the type cannot hold
 * are refused, and so are lone surrogates.
 *
 * @param json not null
 * @throws LockstepError `INVALID_TYPE` or `INVALID_TIME`; `what` names the place
 */
export function parseValue(type: ValueType, json: unknown, what: string): Value {
  // a float type takes a bigint as a number
  const plain = typeof json === 'bigint' && (type.kind === 'float64' || type.kind === 'float32') ? Number(json) : json
  if (typeof plain === 'bigint' && !isValueOf(type, plain)) {
    throw new LockstepError('INVALID_TYPE', `${what} is ${shown(plain)}, which is not ${typeName(type)}.`)
  }
  const value = valueFromJson(type, plain, what) as Value
  if (typeof value === 'string' && !value.isWellFormed()) {
    throw new LockstepError('INVALID_TYPE', `${what} has half a character (a lone surrogate), which is not valid Unicode.`)
  }
  if (overflows(plain, value)) {
    throw new LockstepError('INVALID_TYPE', `${what} is outside the range of ${typeName(type)}; send a smaller number, or "Infinity".`)
  }
  return value
}

/** The value as the client wrote it: JSON integers have no "n" suffix. */
export function shown(json: unknown): string {
  return typeof json === 'bigint' ? String(json) : show(json)
}

/** Every JSON number is finite, so a number that was read as infinite does not fit. */
function overflows(json: unknown, value: Value): boolean {
  if (value instanceof Float32Array && Array.isArray(json)) return json.some((each, i) => overflows(each, value[i] as number))
  return typeof json !== 'string' && (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
}
