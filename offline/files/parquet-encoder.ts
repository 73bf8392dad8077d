import type { SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import type { Column, CountsValue, ListValue, ScalarKind, Value, ValueType } from '../../kernel/values/value-type.ts'
import { hasFloats } from '../../kernel/values/value-type.ts'
import type { BatchEncoder } from './dataset-writer.ts'
import { createGroupColumn } from './group-column.ts'
import { compressSnappy } from './snappy.ts'

const rowGroupRows = 20_000
const pageBytes = 1 << 20

/**
 * Parquet with exact types, all columns optional: BOOLEAN, INT32, INT64, FLOAT, DOUBLE, UTF8, TIMESTAMP (microseconds,
 * UTC), LIST of these, and MAP of UTF8 to INT64. Rows are gathered into groups of 20,000, so memory does not grow with
 * the file.
 */
export function createParquetEncoder(columns: readonly Column<ValueType>[]): BatchEncoder {
  const bytes = new DrainedWriter()
  const compressors = { SNAPPY: compressSnappy }
  const writer = new ParquetWriter({ writer: bytes, schema: parquetSchemaOf(columns), createdBy: 'lockstep', compressors })
  const group = columns.map(({ type }) => createGroupColumn(type, conversion(type), rowGroupRows))
  let waitingRows = 0

  function writeGroup(): void {
    const columnData = columns.map(({ name, type }, i) => {
      const data = group[i]?.take() ?? []
      return hasFloats(type) && someNegativeZero(data) ? { name, data, encoding: 'PLAIN' as const } : { name, data }
    })
    const pageSize = columnData.every(({ data }) => isOnePage(data)) ? 0 : pageBytes
    void writer.write({ columnData, rowGroupSize: rowGroupRows, pageSize }) // synchronous: the writer has no separate flush
    waitingRows = 0
  }

  return {
    write(batch) {
      const rows = batch[0]?.length ?? 0
      for (let from = 0; from < rows;) {
        const to = Math.min(rows, from + rowGroupRows - waitingRows)
        for (const [j, column] of group.entries()) column.add(batch[j] ?? [], from, to)
        waitingRows += to - from
        from = to
        if (waitingRows === rowGroupRows) writeGroup()
      }
      return bytes.drain()
    },
    finish() {
      if (waitingRows > 0) writeGroup()
      void writer.finish()
      return bytes.drain()
    },
  }
}

function parquetSchemaOf(columns: readonly Column<ValueType>[]): SchemaElement[] {
  return [{ name: 'root', num_children: columns.length }, ...columns.flatMap(({ name, type }) => schemaElements(name, type))]
}

function schemaElements(name: string, type: ValueType): SchemaElement[] {
  switch (type.kind) {
    case 'vector':
      return listElements(name, { name: 'element', repetition_type: 'REQUIRED', type: 'FLOAT' })
    case 'list':
      return listElements(name, { name: 'element', repetition_type: type.nulls ? 'OPTIONAL' : 'REQUIRED', ...scalarElements[type.of.kind] })
    case 'counts':
      return [
        { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'MAP', logical_type: { type: 'MAP' } },
        { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
        { name: 'key', repetition_type: 'REQUIRED', ...scalarElements.string },
        { name: 'value', repetition_type: 'REQUIRED', ...scalarElements.int64 },
      ]
    default:
      return [{ name, repetition_type: 'OPTIONAL', ...scalarElements[type.kind] }]
  }
}

function listElements(name: string, element: SchemaElement): SchemaElement[] {
  return [
    { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    element,
  ]
}

const scalarElements: Readonly<Record<ScalarKind, Omit<SchemaElement, 'name'>>> = {
  bool: { type: 'BOOLEAN' },
  int32: { type: 'INT32' },
  int64: { type: 'INT64' },
  float32: { type: 'FLOAT' },
  float64: { type: 'DOUBLE' },
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  timestamp: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
}

/** null: unchanged. */
function conversion(type: ValueType): ((value: Value) => unknown) | null {
  switch (type.kind) {
    case 'vector':
      return (value) => Array.from(value as Float32Array)
    case 'list': {
      const element = conversion(type.of)
      return (value) => (value as ListValue).map((v) => (v === null || element === null ? v : element(v)))
    }
    case 'counts':
      return (value) => Array.from(value as CountsValue, ([category, count]) => ({ key: category, value: BigInt(count) }))
    default:
      return null
  }
}

/** Given a limit for pages, the writer adds up the sizes of all values, which takes a fourteenth of its time. */
function isOnePage(values: readonly unknown[] | Float64Array): boolean {
  if (values instanceof Float64Array) return true
  let bytes = 0
  for (const value of values)
    bytes += typeof value === 'string' ? value.length : typeof value === 'object' && value !== null ? pageBytes : 8
  return bytes < pageBytes
}

/** A dictionary page would merge -0 and 0 into the one that came first. */
function someNegativeZero(values: ArrayLike<unknown>): boolean {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (Object.is(value, -0) || (Array.isArray(value) && someNegativeZero(value))) return true
  }
  return false
}

/** Buffers the bytes of the Parquet writer until `drain` removes them; offsets keep counting. */
class DrainedWriter extends ByteWriter {
  constructor() {
    super(1 << 20)
  }

  drain(): Uint8Array[] {
    if (this.index === 0) return []
    const taken = new Uint8Array(this.buffer.slice(0, this.index))
    this.index = 0
    return [taken]
  }
}
