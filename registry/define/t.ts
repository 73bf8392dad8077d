import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType, KeyType, ScalarType, Value, ValueOf, ValueType, VectorType } from '../../kernel/values/value-type.ts'
import { keyKinds, scalarKinds, show, typeName } from '../../kernel/values/value-type.ts'

/** Names with their value types: the columns of a source, the request data of an on-demand view. */
export type Types = Readonly<Record<string, ColumnType>>
export type KeyTypes = Readonly<Record<string, KeyType>>

/** A row with these columns as a transform receives it. Any value may be null. */
export type RowOf<C extends Types> = { readonly [K in keyof C]: ValueOf<C[K]> | null }

/** Values of these types, never null: keys and request data. */
export type ValuesOf<C extends Types> = { readonly [K in keyof C]: ValueOf<C[K]> }

/**
 * The value types. An int64 is a bigint; a timestamp is a number of microseconds since 1970 (UTC); a `vector(n)` is a
 * Float32Array of length n. Only features can be a `list(of)`, an array of any length, or `counts`, a Map from category
 * to count.
 *
 * @example source('flights', { …, columns: { delay: t.float64, embedding: t.vector(16) } })
 * @example onDemandView('basket', { …, features: { brands: t.list(t.string), prices: t.list(t.float64, { nulls: true
 *   }), byBrand: t.counts } })
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
  list,
  counts: Object.freeze({ kind: 'counts' }),
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

/** @throws LockstepError `INVALID_TYPE` unless its elements are of a scalar type */
function list<const E extends ScalarType, const N extends boolean = false>(
  of: E,
  options?: { readonly nulls?: N },
): { readonly kind: 'list'; readonly of: E; readonly nulls: NoInfer<N> } {
  if (typeof of !== 'object' || of === null || !scalarKinds.includes(of.kind)) {
    throw new LockstepError('INVALID_TYPE', `A list cannot have elements of ${show(of)}; use a scalar type, as in t.list(t.string).`)
  }
  return Object.freeze({ kind: 'list', of, nulls: (options?.nulls ?? false) as N })
}

/** Refuses a value that is not a value type. TypeScript checks this, JavaScript does not. `what` names the place. */
export function checkType(type: unknown, what: string): ValueType {
  if (typeof type === 'object' && type !== null && 'kind' in type) {
    if (scalarKinds.some((kind) => kind === type.kind)) return type as ValueType
    if (type.kind === 'vector' && 'length' in type) return vector(type.length as number)
    if (type.kind === 'list' && 'of' in type && 'nulls' in type) return list(type.of as ScalarType, { nulls: type.nulls as boolean })
    if (type.kind === 'counts') return t.counts
  }
  throw new LockstepError(
    'INVALID_TYPE',
    `${what} has ${show(type)} where a type is needed; write one of t.bool, t.int32, t.int64, t.float32, t.float64, t.string, t.timestamp, t.vector(n), or, for a feature, t.list(t.string) or t.counts.`,
  )
}

/** Like `checkType`, for a column, a request value or a model's output. */
export function checkColumnType(type: unknown, what: string): ColumnType {
  const checked = checkType(type, what)
  if (checked.kind !== 'list' && checked.kind !== 'counts') return checked
  throw new LockstepError(
    'INVALID_TYPE',
    `${what} is ${typeName(checked)}, which only a feature can be; write a scalar type or t.vector(n).`,
  )
}

export function checkKeyType(type: unknown, what: string): KeyType {
  const checked = checkColumnType(type, what)
  if (keyKinds.some((kind) => kind === checked.kind)) return checked as KeyType
  throw new LockstepError('INVALID_TYPE', `${what} is ${typeName(checked)}; a key must be a string, int32, int64, bool or timestamp.`)
}

/** A default, or another value in a definition. */
export type StatedValue = Value
