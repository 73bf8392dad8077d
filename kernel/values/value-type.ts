import { cutText } from './cut-text.ts'
import { LockstepError } from '../errors.ts'
import { compareUtf8 } from './utf8-order.ts'

/**
 * The value type of a feature: a column type, or a type that only features can have. It is plain data, and the registry
 * stores it unchanged.
 */
export type ValueType = ColumnType | ListType | CountsType
/** The type of a column, a request value or a model's output. */
export type ColumnType = ScalarType | VectorType
export interface ScalarType {
  readonly kind: ScalarKind
}
/** A fixed-length vector of float32. */
export interface VectorType {
  readonly kind: 'vector'
  readonly length: number
}
/** Any number of values of one type, in a meaningful order. */
export interface ListType {
  readonly kind: 'list'
  readonly of: ScalarType
  /** Whether an element may be null. */
  readonly nulls: boolean
}
/** The number of occurrences of each category, by its text. */
export interface CountsType {
  readonly kind: 'counts'
}
export const scalarKinds = ['bool', 'int32', 'int64', 'float32', 'float64', 'string', 'timestamp'] as const
export type ScalarKind = (typeof scalarKinds)[number]
export type NumberKind = 'int32' | 'int64' | 'float32' | 'float64'

/** The types that a part of an entity key can have. */
export const keyKinds = ['string', 'int32', 'int64', 'bool', 'timestamp'] as const
export type KeyType = { readonly kind: (typeof keyKinds)[number] }

/**
 * A value in memory. bool is boolean; int32, float32, float64 and timestamp (epoch microseconds) are number; int64 is
 * bigint; string is string; vector is Float32Array; list is an array; counts is a Map with its keys in the order of
 * their UTF-8 bytes. A missing value is always null, never undefined.
 */
export type Value = Scalar | Float32Array | ListValue | CountsValue
export type Scalar = boolean | number | bigint | string
export type ListValue = readonly (Scalar | null)[]
export type CountsValue = ReadonlyMap<string, number>

/** The TypeScript type of a value of type `V`. */
export type ValueOf<V extends ValueType> = V extends { readonly kind: 'bool' }
  ? boolean
  : V extends { readonly kind: 'int64' }
    ? bigint
    : V extends { readonly kind: 'string' }
      ? string
      : V extends { readonly kind: 'vector' }
        ? Float32Array
        : V extends { readonly kind: 'list'; readonly of: infer E extends ScalarType; readonly nulls: infer N }
          ? readonly (ValueOf<E> | (true extends N ? null : never))[]
          : V extends { readonly kind: 'counts' }
            ? CountsValue
            : number

export interface Column<V extends ValueType = ColumnType> {
  readonly name: string
  readonly type: V
}

/** The printed form of a type: `float64`, `vector(3)`, `list(string or null)`. */
export function typeName(type: ValueType): string {
  if (type.kind === 'vector') return `vector(${type.length})`
  return type.kind === 'list' ? `list(${type.of.kind}${type.nulls ? ' or null' : ''})` : type.kind
}

export function sameType(a: ValueType, b: ValueType): boolean {
  return typeName(a) === typeName(b)
}

export function isNumeric({ kind }: ValueType): boolean {
  return kind === 'int32' || kind === 'int64' || kind === 'float32' || kind === 'float64'
}

/** True for floats, and for vectors and lists of floats. */
export function hasFloats(type: ValueType): boolean {
  const { kind } = type.kind === 'list' ? type.of : type
  return kind === 'float32' || kind === 'float64' || kind === 'vector'
}

const int64Max = 2n ** 63n - 1n
const int64Min = -(2n ** 63n)
/** Numbers cannot represent times outside +-2^53 microseconds exactly, so such times are refused. */
export const maxMicros = Number.MAX_SAFE_INTEGER

export function fitsInt64(value: bigint): boolean {
  return value >= int64Min && value <= int64Max
}

/** Whether `value` is exactly a value of `type`. An int32 is a whole number in range. A float32 is not rounded here. */
export function isValueOf(type: ValueType, value: unknown): value is Value {
  switch (type.kind) {
    case 'bool':
      return typeof value === 'boolean'
    case 'int32':
      return typeof value === 'number' && (value | 0) === value
    case 'int64':
      return typeof value === 'bigint' && fitsInt64(value)
    case 'float32':
    case 'float64':
      return typeof value === 'number'
    case 'string':
      return typeof value === 'string'
    case 'timestamp':
      return Number.isSafeInteger(value)
    case 'vector':
      return value instanceof Float32Array && value.length === type.length
    case 'list':
      return Array.isArray(value) && value.every((v) => (v === null ? type.nulls : isValueOf(type.of, v)))
    case 'counts':
      return value instanceof Map && [...value].every(([k, n]) => typeof k === 'string' && Number.isSafeInteger(n) && n >= 0)
    default:
      return type satisfies never
  }
}

/**
 * The canonical form in which a value is stored, compared and served. -0 becomes +0 (also for integers), a float32 is
 * rounded to float32, and counts are sorted. Every NaN is already one value in JavaScript; the codec writes one bit
 * pattern for it.
 */
export function canonical(type: ValueType, value: Value): Value {
  switch (type.kind) {
    case 'int32':
    case 'timestamp':
    case 'float64':
      return (value as number) + 0 // -0 + 0 is +0
    case 'float32':
      return Math.fround(value as number) + 0
    case 'vector':
      return (value as Float32Array).map((v) => v + 0)
    case 'list':
      return (value as ListValue).map((v) => (v === null ? null : (canonical(type.of, v) as Scalar)))
    case 'counts':
      return new Map([...(value as CountsValue)].map(([k, n]) => [k, n + 0] as const).sort(([a], [b]) => compareUtf8(a, b)))
    default:
      return value
  }
}

/** Checks `isValueOf` and returns the `canonical` form. The error names the place. */
export function checkValue(type: ValueType, value: unknown, what: string): Value {
  if (!isValueOf(type, value)) {
    const advice = type.kind === 'vector' && Array.isArray(value) ? ' A vector is a Float32Array: write Float32Array.of(…).' : ''
    throw new LockstepError('INVALID_TYPE', `${what} is ${show(value)}, which is not ${typeName(type)}.${advice}`)
  }
  return canonical(type, value)
}

/** A copy that user code may change without effect on others. */
export function ownCopy<V extends Value | null>(value: V): V {
  if (typeof value !== 'object' || value === null) return value
  return (value instanceof Float32Array || Array.isArray(value) ? value.slice() : new Map(value as CountsValue)) as V
}

/** A short printed form of any value, for messages. */
export function show(value: unknown): string {
  // the suffix shows a wrong type; a number beyond int64 is wrong for its size
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? `${value}n` : value.toString()
  if (typeof value === 'string') return JSON.stringify(cutText(value, 60))
  if (value instanceof Float32Array) return `a vector of ${value.length}`
  if (value instanceof Map) return `a map of ${value.size}`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? `an array of ${value.length}` : 'an object'
  return Object.is(value, -0) ? '-0' : String(value)
}
