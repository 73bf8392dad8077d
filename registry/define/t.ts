import { LockstepError } from '../../kernel/errors.ts'
import type { KeyType, Value, ValueOf, ValueType, VectorType } from '../../kernel/value-type.ts'
import { show, typeName } from '../../kernel/value-type.ts'

/** Names and their value types: the columns of a source, the request data of an on-demand view. */
export type Types = Readonly<Record<string, ValueType>>
export type KeyTypes = Readonly<Record<string, KeyType>>

/** A row of these columns as a transform receives it: any value may be null. */
export type RowOf<C extends Types> = { readonly [K in keyof C]: ValueOf<C[K]> | null }

/** Values of these types, none of them null: keys and request data. */
export type ValuesOf<C extends Types> = { readonly [K in keyof C]: ValueOf<C[K]> }

/**
 * The value types. int64 is a bigint; timestamp is a number of microseconds since 1970 (UTC); `vector(n)` is a Float32Array of length n.
 *
 * @example source('flights', { …, columns: { delay: t.float64, embedding: t.vector(16) } })
 */
export const t = Object.freeze({
  bool: Object.freeze({ kind: 'bool' }),
  int32: Object.freeze({ kind: 'int32' }),
  int64: Object.freeze({ kind: 'int64' }),
  float32: Object.freeze({ kind: 'float32' }),
  float64: Object.freeze({ kind: 'float64' }),
  string: Object.freeze({ kind: 'string' }),
  timestamp: Object.freeze({ kind: 'timestamp' }),
  vector,
} as const)

/** @throws LockstepError `INVALID_TYPE` unless the length is a whole number from 1 to 65,536 */
function vector(length: number): VectorType {
  if (!Number.isSafeInteger(length) || length < 1 || length > 65_536) {
    throw new LockstepError(
      'INVALID_TYPE',
      `A vector cannot have the length ${show(length)}; write a whole number from 1 to 65536, as in t.vector(16).`,
    )
  }
  return Object.freeze({ kind: 'vector', length })
}

const scalarKinds: ReadonlySet<unknown> = new Set(['bool', 'int32', 'int64', 'float32', 'float64', 'string', 'timestamp'])
const keyKinds: ReadonlySet<unknown> = new Set(['bool', 'int32', 'int64', 'string', 'timestamp'])

/** For definitions written in JavaScript: refuses what is no value type. `what` names the place. */
export function checkType(type: unknown, what: string): ValueType {
  if (typeof type === 'object' && type !== null && 'kind' in type) {
    if (scalarKinds.has(type.kind)) return type as ValueType
    if (type.kind === 'vector' && 'length' in type) return vector(type.length as number)
  }
  throw new LockstepError(
    'INVALID_TYPE',
    `${what} has ${show(type)} where a type is needed; write one of t.bool, t.int32, t.int64, t.float32, t.float64, t.string, t.timestamp, t.vector(n).`,
  )
}

export function checkKeyType(type: unknown, what: string): KeyType {
  const checked = checkType(type, what)
  if (keyKinds.has(checked.kind)) return checked as KeyType
  throw new LockstepError('INVALID_TYPE', `${what} is ${typeName(checked)}; a key must be a string, int32, int64, bool or timestamp.`)
}

/** A default or another value that a definition states. */
export type StatedValue = Value
