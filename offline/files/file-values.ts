import { LockstepError } from '../../kernel/errors.ts'
import type { Value, ValueType } from '../../kernel/value-type.ts'
import { canonical, typeName } from '../../kernel/value-type.ts'
import { inFloat32, inInteger, toBool, toFloat, toInteger, toMicros, toText, toVector, UnfitValue } from './convert.ts'
import type { FileBatch, FileColumn } from './tabular-file.ts'

/**
 * One column of a batch as values of `type`: text is parsed, numbers are checked, nothing is guessed or cut short.
 *
 * @throws LockstepError `INVALID_ROW` naming file, row, column and value
 */
export function fileValues(
  file: { readonly path: string },
  column: FileColumn,
  batch: FileBatch,
  index: number,
  type: ValueType,
): (Value | null)[] {
  const read = valueReader(column, type)
  const source = batch.columns[index] ?? []
  const values = new Array<Value | null>(batch.rows)
  for (let i = 0; i < batch.rows; i++) {
    const value = source[i]
    try {
      values[i] = value === null || value === undefined ? null : canonical(type, read(value))
    } catch (error) {
      throw inRow(error, file.path, batch.firstRow + i, column.name)
    }
  }
  return values
}

/** Puts the place into the error of a value that does not fit; other errors pass as they are. */
export function inRow(error: unknown, path: string, row: number, column: string): unknown {
  if (!(error instanceof UnfitValue)) return error
  return new LockstepError('INVALID_ROW', `Row ${row} of "${path}": column "${column}" ${error.message}; correct the row.`, {
    details: { path, row, column },
  })
}

function valueReader(column: FileColumn, type: ValueType): (value: unknown) => Value {
  switch (type.kind) {
    case 'bool':
      return toBool
    case 'int32':
      return (value) => Number(inInteger(toInteger(value, column), 4))
    case 'int64':
      return (value) => BigInt(inInteger(toInteger(value, column), 8))
    case 'float32':
      return (value) => inFloat32(toFloat(value, column))
    case 'float64':
      return (value) => toFloat(value, column)
    case 'string':
      return toText
    case 'timestamp':
      return (value) => toMicros(value, column)
    case 'vector':
      return (value) => {
        const vector = toVector(value, column)
        if (vector.length !== type.length)
          throw new UnfitValue(`has ${vector.length} elements, not the ${type.length} of ${typeName(type)}`)
        return vector
      }
    default:
      return type satisfies never
  }
}
