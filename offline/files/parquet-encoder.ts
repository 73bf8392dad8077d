import type { SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import type { Column, Value, ValueType } from '../../kernel/value-type.ts'
import type { BatchEncoder } from './dataset-writer.ts'

const rowGroupRows = 20_000

/**
 * Parquet with exact types, all columns optional: BOOLEAN, INT32, INT64, FLOAT, DOUBLE, UTF8, TIMESTAMP (microseconds, UTC) and LIST of
 * FLOAT. Rows are gathered into groups of 20,000, so memory does not grow with the file.
 */
export function createParquetEncoder(columns: readonly Column[]): BatchEncoder {
  const bytes = new DrainedWriter()
  const writer = new ParquetWriter({ writer: bytes, schema: parquetSchemaOf(columns), createdBy: 'lockstep' })
  const toParquet = columns.map(({ type }) => conversion(type))
  let waiting: unknown[][] = columns.map(() => [])

  function writeGroup(): void {
    const columnData = columns.map(({ name, type }, i) => {
      const data = waiting[i] ?? []
      return isFloat(type) && data.some(hasNegativeZero) ? { name, data, encoding: 'PLAIN' as const } : { name, data }
    })
    void writer.write({ columnData, rowGroupSize: rowGroupRows }) // synchronous: the writer has no flush of its own
    waiting = columns.map(() => [])
  }

  return {
    write(batch) {
      const rows = batch[0]?.length ?? 0
      for (let from = 0; from < rows;) {
        const to = Math.min(rows, from + rowGroupRows - (waiting[0]?.length ?? 0))
        for (const [j, convert] of toParquet.entries()) {
          const [source, target] = [batch[j] ?? [], waiting[j] ?? []]
          for (let i = from; i < to; i++) {
            const value = source[i] ?? null
            target.push(value === null ? null : convert(value))
          }
        }
        from = to
        if (waiting[0]?.length === rowGroupRows) writeGroup()
      }
      return bytes.drain()
    },
    finish() {
      if ((waiting[0]?.length ?? 0) > 0) writeGroup()
      void writer.finish()
      return bytes.drain()
    },
  }
}

function parquetSchemaOf(columns: readonly Column[]): SchemaElement[] {
  return [{ name: 'root', num_children: columns.length }, ...columns.flatMap(({ name, type }) => schemaElements(name, type))]
}

function schemaElements(name: string, type: ValueType): SchemaElement[] {
  const optional = { name, repetition_type: 'OPTIONAL' } as const
  switch (type.kind) {
    case 'bool':
      return [{ ...optional, type: 'BOOLEAN' }]
    case 'int32':
      return [{ ...optional, type: 'INT32' }]
    case 'int64':
      return [{ ...optional, type: 'INT64' }]
    case 'float32':
      return [{ ...optional, type: 'FLOAT' }]
    case 'float64':
      return [{ ...optional, type: 'DOUBLE' }]
    case 'string':
      return [{ ...optional, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } }]
    case 'timestamp':
      return [
        {
          ...optional,
          type: 'INT64',
          converted_type: 'TIMESTAMP_MICROS',
          logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
        },
      ]
    case 'vector':
      return [
        { ...optional, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', repetition_type: 'REQUIRED', type: 'FLOAT' },
      ]
    default:
      return type satisfies never
  }
}

function conversion(type: ValueType): (value: Value) => unknown {
  switch (type.kind) {
    case 'timestamp':
      return (value) => BigInt(value as number)
    case 'vector':
      return (value) => Array.from(value as Float32Array)
    default:
      return (value) => value
  }
}

function isFloat({ kind }: ValueType): boolean {
  return kind === 'float32' || kind === 'float64' || kind === 'vector'
}

/** A dictionary page would make -0 and 0 one value, whichever came first. */
function hasNegativeZero(value: unknown): boolean {
  return Object.is(value, -0) || (Array.isArray(value) && value.some(hasNegativeZero))
}

/** Keeps what the Parquet writer appends until `drain` takes it away; offsets count on. */
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
