import { LockstepError } from '../../kernel/errors.ts'
import { postgresEpochMicros } from '../../kernel/values/time.ts'
import type { ColumnType, Value } from '../../kernel/values/value-type.ts'

/**
 * Reads one value that is not NULL at `at`, `length` bytes long, in PostgreSQL's binary form. `view` is over the same
 * memory as `bytes`.
 */
export type ReadValue = (bytes: Buffer, view: DataView, at: number, length: number) => Value

/** The decoder of a column that was selected through `castTo`. Values come out canonical: no -0. */
export function valueReader(type: ColumnType, what: string): ReadValue {
  switch (type.kind) {
    case 'bool':
      return (bytes, _view, at) => bytes[at] === 1
    case 'int32':
      return (_bytes, view, at) => view.getInt32(at)
    case 'int64':
      return (_bytes, view, at) => view.getBigInt64(at)
    case 'float32':
      return (_bytes, view, at) => view.getFloat32(at) + 0
    case 'float64':
      return (_bytes, view, at) => view.getFloat64(at) + 0
    case 'string':
      return (bytes, _view, at, length) => bytes.toString('utf8', at, at + length)
    case 'timestamp':
      return (_bytes, view, at) => {
        const micros = microsAt(view, at)
        if (!Number.isSafeInteger(micros)) throw timeOutside(what, micros)
        return micros
      }
    case 'vector':
      return (_bytes, view, at) => vectorAt(view, at, type.length, what)
    default:
      return type satisfies never
  }
}

/**
 * PostgreSQL's `timestamp` or `timestamptz` as epoch microseconds; +-Infinity for the infinities. Beyond +-2^53 the
 * result is no safe integer, which the caller refuses.
 */
export function microsAt(view: DataView, at: number): number {
  const high = view.getInt32(at)
  const low = view.getUint32(at + 4)
  if (high === 0x7fffffff && low === 0xffffffff) return Number.POSITIVE_INFINITY
  if (high === -0x80000000 && low === 0) return Number.NEGATIVE_INFINITY
  // each sum is exact: at the far edge, what is before the epoch is added is no safe integer
  return (high + epochHigh) * 0x100000000 + (low + epochLow)
}

const epochHigh = Math.floor(postgresEpochMicros / 0x100000000)
const epochLow = postgresEpochMicros - epochHigh * 0x100000000

/** An int8 or xid8 that is known to be a safe integer: an identity, an ordinal, a transaction. */
export function safeInt64At(view: DataView, at: number): number {
  return view.getInt32(at) * 0x100000000 + view.getUint32(at + 4)
}

/** @param micros as `microsAt` gives it */
export function timeOutside(what: string, micros: number): LockstepError {
  return new LockstepError(
    'INVALID_TIME',
    `${what} is ${showTime(micros)}, which is outside +-2^53 microseconds from 1970 (about the years 1684 to 2255); correct or delete the row.`,
  )
}

/** A time to the second: numbers beyond 2^53 cannot hold microseconds. `Date` has a smaller range than PostgreSQL. */
function showTime(micros: number): string {
  if (!Number.isFinite(micros)) return micros > 0 ? '"infinity"' : '"-infinity"'
  const date = new Date(Math.floor(micros / 1_000_000) * 1000)
  return Number.isNaN(date.getTime()) ? `${micros} microseconds` : `"${date.toISOString().replace('.000Z', 'Z')}"`
}

/**
 * float4[]: number of dimensions, a flag for NULLs, the element type, then for each dimension its length and lower
 * bound, then the elements.
 */
function vectorAt(view: DataView, at: number, length: number, what: string): Float32Array {
  const dimensions = view.getInt32(at)
  const found = dimensions === 0 ? 0 : view.getInt32(at + 12)
  if (dimensions > 1 || found !== length) {
    throw new LockstepError(
      'INVALID_ROW',
      `${what} is an array of ${dimensions > 1 ? `${dimensions} dimensions` : found}, but a vector of ${length} is declared. Correct the row.`,
    )
  }
  const vector = new Float32Array(length)
  for (let i = 0, from = at + 20; i < length; i++, from += 8) {
    if (view.getInt32(from) !== 4)
      throw new LockstepError(
        'INVALID_ROW',
        `${what} has NULL at position ${i + 1} of the array. A vector may be NULL, but its elements may not. Correct the row.`,
      )
    vector[i] = view.getFloat32(from + 4) + 0
  }
  return vector
}
