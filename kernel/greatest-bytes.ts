import type { ColumnType } from './value-type.ts'
import { maxMicros } from './value-type.ts'

/**
 * The most bytes that something takes when it is encoded, if one entity has fewer than 2^35 rows. Of each text the
 * length counts here, and its bytes come on top: nothing bounds them.
 */
export interface GreatestBytes {
  readonly bytes: number
  readonly texts: number
}

/** One entity's rows, at most: 34,359,738,367. */
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

/** Of `ByteWriter.uint`, for numbers up to `most`. */
export function uintBytes(most: number): number {
  let bytes = 1
  for (let rest = most; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

/** Of `ByteWriter.int`, for numbers from `-most` to `most`. */
export function intBytes(most: number): number {
  return most < 0x40 ? 1 : 1 + uintBytes(Math.floor(most / 0x40))
}

/** Of a number of rows. */
export const countBytes = uintBytes(maxRows)

/**
 * Of the counts of so many kinds of rows, which are no more than all rows together: a count of n bytes takes 2^(7(n -
 * 1)) of them.
 */
export function countsBytes(kinds: number): number {
  let bytes = 0
  for (let least = 1; least <= maxRows; least *= 0x80) bytes += Math.min(kinds, Math.floor(maxRows / least))
  return bytes
}

/** Of `writeBigint`, for numbers of so many bits. */
export function bigintBytes(bits: number): number {
  const magnitude = Math.max(1, Math.ceil(bits / 8))
  return 1 + uintBytes(magnitude) + magnitude
}

/** Of a time, or of another safe integer. */
export const timeBytes = intBytes(maxMicros)

/** PostgreSQL's values have 2^30 bytes at most. */
const textLengthBytes = uintBytes(2 ** 30)

/** Of a column's value in its codec (`valueCodec`), the byte for null included. */
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

/** Of what breaks ties where it is the row's columns: their values, behind one length. */
export function tieOfColumns(columns: readonly ColumnType[]): GreatestBytes {
  const values = inTurn(...columns.map(valueBytes))
  return inTurn(fixedBytes(values.texts > 0 ? textLengthBytes : uintBytes(values.bytes)), values)
}

/** Of what breaks ties where it is `_row`. */
export const tieOfIdentity = fixedBytes(timeBytes)

/** Of a row's place in the total order (`writeOrderKey`). */
export function orderKeyBytes(tie: GreatestBytes): GreatestBytes {
  return inTurn(fixedBytes(1 + 2 * timeBytes), tie)
}
