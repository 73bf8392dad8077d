import type { ColumnType } from '../values/value-type.ts'
import { maxMicros } from '../values/value-type.ts'

/**
 * The maximum encoded size of a value, if one entity has fewer than 2^35 rows. Texts are unbounded: only the bytes of
 * their lengths are counted here.
 */
export interface GreatestBytes {
  readonly bytes: number
  readonly texts: number
}

/** The maximum number of rows of one entity: 34,359,738,367. */
export const maxRows = 2 ** 35 - 1

export const noBytes: GreatestBytes = { bytes: 0, texts: 0 }

export function fixedBytes(bytes: number): GreatestBytes {
  return { bytes, texts: 0 }
}

export function inTurn(...parts: readonly GreatestBytes[]): GreatestBytes {
  return parts.reduce((all, { bytes, texts }) => ({ bytes: all.bytes + bytes, texts: all.texts + texts }), noBytes)
}

export function times(count: number, { bytes, texts }: GreatestBytes): GreatestBytes {
  return { bytes: count * bytes, texts: count * texts }
}

/** The maximum size of `ByteWriter.uint` for numbers up to `most`. */
export function uintBytes(most: number): number {
  let bytes = 1
  for (let rest = most; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

/** The maximum size of `ByteWriter.int` for numbers from `-most` to `most`. */
export function intBytes(most: number): number {
  return most < 0x40 ? 1 : 1 + uintBytes(Math.floor(most / 0x40))
}

/** The maximum size of a row count. */
export const countBytes = uintBytes(maxRows)

/**
 * The maximum size of the row counts of `kinds` kinds. Together they count no more than all rows, and a count of n
 * bytes needs at least 2^(7(n - 1)) rows.
 */
export function countsBytes(kinds: number): number {
  let bytes = 0
  for (let least = 1; least <= maxRows; least *= 0x80) bytes += Math.min(kinds, Math.floor(maxRows / least))
  return bytes
}

/** The maximum size of `writeBigint` for numbers of `bits` bits. */
export function bigintBytes(bits: number): number {
  const magnitude = Math.max(1, Math.ceil(bits / 8))
  return 1 + uintBytes(magnitude) + magnitude
}

/** The maximum size of a time or of another safe integer. */
export const timeBytes = intBytes(maxMicros)

/** A PostgreSQL value has at most 2^30 bytes. */
const textLengthBytes = uintBytes(2 ** 30)

/** The maximum size of a column's value in its codec (`valueCodec`), with the byte for null. */
export function valueBytes(type: ColumnType): GreatestBytes {
  switch (type.kind) {
    case 'bool':
      return fixedBytes(1)
    case 'int32':
      return fixedBytes(1 + intBytes(2 ** 31))
    case 'timestamp':
      return fixedBytes(1 + timeBytes)
    case 'int64':
    case 'float64':
      return fixedBytes(9)
    case 'float32':
      return fixedBytes(5)
    case 'vector':
      return fixedBytes(1 + 4 * type.length)
    case 'string':
      return { bytes: 1 + textLengthBytes, texts: 1 }
    default:
      return type satisfies never
  }
}

/** The maximum size of a tie-breaker made of the row's columns: their values behind one length. */
export function tieOfColumns(columns: readonly ColumnType[]): GreatestBytes {
  const values = inTurn(...columns.map(valueBytes))
  return inTurn(fixedBytes(values.texts > 0 ? textLengthBytes : uintBytes(values.bytes)), values)
}

/** The maximum size of a tie-breaker that is `_row`. */
export const tieOfIdentity = fixedBytes(timeBytes)

/** The maximum size of a row's key in the total order (`writeOrderKey`). */
export function orderKeyBytes(tie: GreatestBytes): GreatestBytes {
  return inTurn(fixedBytes(1 + 2 * timeBytes), tie)
}
