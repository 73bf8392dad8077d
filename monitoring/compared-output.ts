import type { ColumnType, Value } from '../kernel/values/value-type.ts'

/**
 * The type by which the values of an output are compared. Of two probabilities, that of yes counts, as for quality. Of
 * other vectors only missing ones count.
 */
export function comparedType(type: ColumnType): ColumnType {
  return type.kind === 'vector' && type.length === 2 ? { kind: 'float32' } : type
}

/** The value of an output as `comparedType` has it. */
export function comparedValue(value: Value | null): Value | null {
  return value instanceof Float32Array && value.length === 2 ? (value[1] as number) : value
}
