import type { Scalar, Value, ValueType } from '../../kernel/values/value-type.ts'
import { canonical } from '../../kernel/values/value-type.ts'

/** How many sample rows a transform is tried on. */
export const sampleCount = 48

/**
 * The value of a column in a sample row: null and zero throughout the first two rows, ordinary values in the next, then
 * any mixture of ordinary and extreme ones. The same arguments give the same value.
 */
export function sampleValue(type: ValueType, row: number, column: number, nullable: boolean): Value | null {
  const values = samplesOf(type)
  if (row === 0) return nullable ? null : (values[0] as Value)
  if (row === 1) return values[0] as Value
  if (row < 8) return values[1 + ((row + column) % 3)] as Value
  const pick = mixed(row, column) % (values.length + (nullable ? 1 : 0))
  return values[pick] ?? null
}

/** Zero, then three ordinary values, then extreme values. */
function samplesOf(type: ValueType): readonly Value[] {
  switch (type.kind) {
    case 'bool':
      return [false, true, false, true]
    case 'int32':
      return [0, 1, 20, 750, -7, 2147483647, -2147483648]
    case 'int64':
      return [0n, 1n, 20n, 750n, -7n, 9007199254740993n, 9223372036854775807n, -9223372036854775808n]
    case 'float32':
      return [0, 1.5, 20, 750, -7, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3.4028234663852886e38]
    case 'float64':
      return [0, 1.5, 20, 750, -7, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_VALUE, Number.MIN_VALUE]
    case 'string':
      return ['', 'ATL', 'lockstep', '42', 'Ünï ☂', '{"a":1}', 'x'.repeat(300)]
    case 'timestamp':
      return [0, 981_173_106_000_000, 1_782_864_000_000_000, 994_031_999_999_999, -1, 4_102_444_800_000_000]
    case 'vector':
      return [0, 0.5, 1, -3, Number.NaN].map((x) => new Float32Array(type.length).fill(x))
    case 'list': {
      const elements = samplesOf(type.of) as readonly Scalar[]
      return [
        elements.slice(0, 1),
        elements.slice(1, 3),
        elements.slice(1, 4),
        elements.slice(3, 4),
        [],
        elements,
        Array(50).fill(elements[1]),
      ]
    }
    case 'counts':
      return [[], [1], [20, 750], [3, 7, 1], [0, Number.MAX_SAFE_INTEGER]].map((counts) =>
        canonical(type, new Map(counts.map((n, i) => [samplesOf({ kind: 'string' })[i + 1] as string, n]))),
      )
    default:
      return type satisfies never
  }
}

function mixed(row: number, column: number): number {
  let x = Math.imul(row + 1, 0x9e3779b1) ^ Math.imul(column + 1, 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d)
  return (x ^ (x >>> 13)) >>> 0
}
