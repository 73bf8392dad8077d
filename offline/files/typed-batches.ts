import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Column, ColumnType, Value } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { inFloat32, inInteger, inRow, toBool, toFloat, toInteger, toMicros, toNumbers, toText, UnfitValue } from './convert.ts'
import type { FileColumn, TabularFile } from './tabular-file.ts'

/** Consecutive rows of a file, as values of the requested types. */
export interface TypedBatch {
  readonly rows: number
  /** By index of the requested columns, then by row. */
  readonly columns: readonly (readonly (Value | null)[])[]
}

/**
 * Reads columns of a file, each value converted and checked as when the file is loaded into a table.
 *
 * @param columns a name may occur more than once, with several types
 * @param maxRows of a batch
 * @throws LockstepError `COLUMNS_MISMATCH` naming columns that the file lacks, `INVALID_ROW` naming file, row, column
 *   and value, and what the file throws
 */
export async function* typedBatches(file: TabularFile, columns: readonly Column[], maxRows: number): AsyncGenerator<TypedBatch> {
  const missing = columns.filter(({ name }) => !file.columns.some((column) => column.name === name)).map(({ name }) => name)
  if (missing.length > 0)
    throw new LockstepError(
      'COLUMNS_MISMATCH',
      `The file "${file.path}" has no column ${quotedNames(missing)}; it has ${file.columns.map(({ name }) => name).join(', ')}.`,
      { details: { path: file.path, missing } },
    )
  const converters = columns.map(({ name, type }) => converter(type, file.columns.find((column) => column.name === name) as FileColumn))
  for await (const batch of file.batches(columns.map(({ name }) => name)))
    for (let from = 0; from < batch.rows; from += maxRows) {
      const rows = Math.min(maxRows, batch.rows - from)
      yield { rows, columns: columns.map((_, c) => converted(c, from, rows, batch)) }
    }

  function converted(
    c: number,
    from: number,
    rows: number,
    { columns: values, rowNumbers, firstRow }: { columns: readonly ArrayLike<unknown>[]; rowNumbers?: readonly number[]; firstRow: number },
  ): (Value | null)[] {
    const [data, convert] = [values[c] as ArrayLike<unknown>, converters[c] as Converter]
    const typed = new Array<Value | null>(rows)
    for (let i = 0; i < rows; i++) {
      const value = data[from + i]
      try {
        typed[i] = value === null || value === undefined ? null : convert(value)
      } catch (error) {
        throw inRow(error, file.path, rowNumbers?.[from + i] ?? firstRow + from + i, columns[c]?.name ?? '')
      }
    }
    return typed
  }
}

type Converter = (value: unknown) => Value

function converter(type: ColumnType, from: FileColumn): Converter {
  switch (type.kind) {
    case 'bool':
      return toBool
    case 'int32':
      return (value) => Number(inInteger(toInteger(value, from), 4))
    case 'int64':
      return (value) => BigInt(inInteger(toInteger(value, from), 8))
    case 'float32':
      return (value) => inFloat32(toFloat(value, from))
    case 'float64':
      return (value) => toFloat(value, from)
    case 'string':
      return toText
    case 'timestamp':
      return (value) => toMicros(value, from)
    case 'vector':
      return (value) => {
        const vector = Float32Array.from(toNumbers(value, from, inFloat32))
        if (vector.length === type.length) return vector
        throw new UnfitValue(`has ${vector.length} elements, and is no ${typeName(type)}`)
      }
    default:
      return type satisfies never
  }
}
