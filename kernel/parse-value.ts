import { LockstepError } from './errors.ts'
import { valueFromJson } from './value-json.ts'
import type { Value, ValueType } from './value-type.ts'
import { isValueOf, show, typeName } from './value-type.ts'

/**
 * A value that a client sent as JSON, whose integers beyond 2^53 were read as bigint. What JSON can write and the type cannot hold is refused, and so is half a character.
 *
 * @param json not null
 * @throws LockstepError `INVALID_TYPE` or `INVALID_TIME`; `what` names the place
 */
export function parseValue(type: ValueType, json: unknown, what: string): Value {
  // for a float that is one more number
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

/** As the client wrote it: JSON's integers have no "n" behind them. */
export function shown(json: unknown): string {
  return typeof json === 'bigint' ? String(json) : show(json)
}

/** A JSON number is finite, however large: one that reads as infinite does not fit. */
function overflows(json: unknown, value: Value): boolean {
  if (value instanceof Float32Array && Array.isArray(json)) return json.some((each, i) => overflows(each, value[i] as number))
  return typeof json !== 'string' && (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
}
