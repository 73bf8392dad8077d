import { LockstepError } from '../kernel/errors.ts'
import type { Floats } from '../kernel/states/packed-row.ts'
import { fillFloatColumns, fillFloats } from '../kernel/states/packed-row.ts'
import type { ServiceRow } from '../kernel/service-plan.ts'
import type { Value } from '../kernel/values/value-type.ts'
import type { FloatElement, InputBinding, InputColumn } from '../registry/models/model-binding.ts'
import { isFloatElement } from '../registry/models/model-binding.ts'
import { float16Bits } from './float16.ts'
import type { TensorValue } from './tensor-value.ts'

/** A service's feature values of one entity in service order, or a row that contains them. */
export type FeatureRow = readonly (Value | null)[] | Pick<ServiceRow, 'values' | 'fill'>

export function valuesOf(row: FeatureRow): readonly (Value | null)[] {
  return isArray(row) ? row : row.values
}

const isArray = (row: FeatureRow): row is readonly (Value | null)[] => Array.isArray(row)

export type TensorWriter = (rows: readonly FeatureRow[]) => TensorValue

/**
 * Compiles the writer of one input: from feature rows to a tensor of dims `[rows, ...rowShape]`. A null is NaN in float
 * tensors. Each run gets a new buffer, because ONNX Runtime reads it until the run has ended.
 *
 * @throws LockstepError (the writer) `MODEL_FAILED` for a null in a tensor type that cannot represent it
 */
export function createTensorWriter(input: InputBinding): TensorWriter {
  const { columns, width, type } = input
  const dims = (rows: readonly FeatureRow[]) => [rows.length, ...input.rowShape]
  switch (type) {
    case 'float16':
    case 'float32':
    case 'float64':
      return (rows) => floatTensor(type, dims(rows), allFloats(floatsOf(type, rows.length * width), rows, columns, width))
    case 'int32':
      return (rows) => {
        const data = new Int32Array(rows.length * width)
        fill(rows, columns, width, (at, value) => (data[at] = Number(value)))
        return { type: 'int32', dims: dims(rows), data }
      }
    case 'int64':
      return (rows) => {
        const data = new BigInt64Array(rows.length * width)
        fill(rows, columns, width, (at, value) => (data[at] = BigInt(value as bigint | number | boolean)))
        return { type: 'int64', dims: dims(rows), data }
      }
    case 'bool':
      return (rows) => {
        const data = new Uint8Array(rows.length * width)
        fill(rows, columns, width, (at, value) => (data[at] = value === true ? 1 : 0))
        return { type: 'bool', dims: dims(rows), data }
      }
    case 'string':
      return (rows) => {
        const data = new Array<string>(rows.length * width).fill('')
        fill(rows, columns, width, (at, value) => (data[at] = value as string))
        return { type: 'string', dims: dims(rows), data }
      }
    default:
      return type satisfies never
  }
}

export type ColumnTensorWriter = (columns: readonly (readonly (Value | null)[])[], from: number, to: number) => TensorValue

/**
 * As `createTensorWriter`, of the rows [from, to) of columns by feature. For float tensors no row becomes an object.
 */
export function createColumnTensorWriter(input: InputBinding): ColumnTensorWriter {
  const { columns, width, type } = input
  if (!isFloatElement(type)) {
    const write = createTensorWriter(input)
    return (values, from, to) => write(Array.from({ length: to - from }, (_, i) => values.map((column) => column[from + i] ?? null)))
  }
  return (values, from, to) => {
    const floats = floatsOf(type, (to - from) * width)
    fillFloatColumns(floats, width, columns, values, from, to)
    return floatTensor(type, [to - from, ...input.rowShape], floats)
  }
}

/** Numbers are rounded to float16 once, so from float64. */
function floatsOf(type: FloatElement, length: number): Floats {
  return type === 'float32' ? new Float32Array(length) : new Float64Array(length)
}

function floatTensor(type: FloatElement, dims: readonly number[], floats: Floats): TensorValue {
  return { type, dims, data: type === 'float16' ? Uint16Array.from(floats, float16Bits) : floats }
}

function allFloats(data: Floats, rows: readonly FeatureRow[], columns: readonly InputColumn[], width: number): Floats {
  for (let r = 0; r < rows.length; r++) {
    const row = rows[r] as FeatureRow
    if (isArray(row)) fillFloats(data, r * width, columns, row)
    else row.fill(data, r * width, columns)
  }
  return data
}

function fill(rows: readonly FeatureRow[], columns: readonly InputColumn[], width: number, set: (at: number, value: Value) => void): void {
  for (let r = 0; r < rows.length; r++) {
    const row = valuesOf(rows[r] as FeatureRow)
    for (const column of columns) {
      const value = row[column.feature]
      if (value === null || value === undefined) {
        throw new LockstepError(
          'MODEL_FAILED',
          `The feature "${column.name}" is missing, and the model's input cannot represent a missing value. Give the feature a default.`,
          { details: { feature: column.name } },
        )
      }
      set(r * width + column.offset, value)
    }
  }
}
