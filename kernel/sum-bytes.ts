import type { GreatestBytes } from './greatest-bytes.ts'
import { bigintBytes, countBytes, fixedBytes, maxRows } from './greatest-bytes.ts'
import type { ValueType } from './value-type.ts'

const rowBits = Math.log2(maxRows + 1)
/** The fixed-point integer that sums of doubles go over to counts units of 2^-1074. */
const unitBits = 1074
/** Of larger numbers, and of smaller ones than its inverse, the squares are counted apart (`ExactSquares`). */
const squaredExponent = 480

/** The power of two that no value of the type reaches. */
function exponentOf({ kind }: ValueType): number {
  return kind === 'int32' ? 32 : kind === 'int64' ? 64 : kind === 'float32' ? 128 : 1024
}

/**
 * Of an `ExactSum` of numbers below 2^exponent: a byte, the fixed-point integer, and the counts of NaN and the
 * infinities.
 */
function exactSumBytes(exponent: number): number {
  return 1 + bigintBytes(unitBits + exponent + rowBits) + 3 * countBytes
}

/** Of the number of a column's values and their exact sum. */
export function momentsBytes(type: ValueType): GreatestBytes {
  const exponent = exponentOf(type)
  return fixedBytes(countBytes + (type.kind === 'int64' ? bigintBytes(exponent + rowBits) : exactSumBytes(exponent)))
}

/** Of the same and the exact sum of the squares. */
export function varianceBytes(type: ValueType): GreatestBytes {
  const { bytes } = momentsBytes(type)
  const exponent = exponentOf(type)
  if (type.kind === 'int64') return fixedBytes(bytes + bigintBytes(2 * exponent + rowBits))
  const apart = exponent <= squaredExponent ? bigintBytes(0) : bigintBytes(2 * (exponent + unitBits) + rowBits)
  return fixedBytes(bytes + exactSumBytes(2 * Math.min(exponent, squaredExponent) + 1) + apart)
}
