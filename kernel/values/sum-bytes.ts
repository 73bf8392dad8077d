import type { GreatestBytes } from '../states/greatest-bytes.ts'
import { bigintBytes, countBytes, fixedBytes, maxRows } from '../states/greatest-bytes.ts'
import type { ValueType } from './value-type.ts'

const rowBits = Math.log2(maxRows + 1)
/** The unit of the fixed-point integer for sums of doubles is 2^-1074. */
const unitBits = 1074
/** The squares of numbers above 2^480, and of numbers below its inverse, are counted separately (`ExactSquares`). */
const squaredExponent = 480

/** A power of two that is greater than every value of the type. */
function exponentOf({ kind }: ValueType): number {
  return kind === 'int32' ? 32 : kind === 'int64' ? 64 : kind === 'float32' ? 128 : 1024
}

/**
 * The maximum size of an `ExactSum` of numbers below 2^exponent: a byte, the fixed-point integer, and the counts of NaN
 * and the infinities.
 */
function exactSumBytes(exponent: number): number {
  return 1 + bigintBytes(unitBits + exponent + rowBits) + 3 * countBytes
}

/** The maximum size of the number of a column's values and their exact sum. */
export function momentsBytes(type: ValueType): GreatestBytes {
  const exponent = exponentOf(type)
  return fixedBytes(countBytes + (type.kind === 'int64' ? bigintBytes(exponent + rowBits) : exactSumBytes(exponent)))
}

/** The maximum size of the same with the exact sum of the squares. */
export function varianceBytes(type: ValueType): GreatestBytes {
  const { bytes } = momentsBytes(type)
  const exponent = exponentOf(type)
  if (type.kind === 'int64') return fixedBytes(bytes + bigintBytes(2 * exponent + rowBits))
  const apart = exponent <= squaredExponent ? bigintBytes(0) : bigintBytes(2 * (exponent + unitBits) + rowBits)
  return fixedBytes(bytes + exactSumBytes(2 * Math.min(exponent, squaredExponent) + 1) + apart)
}
