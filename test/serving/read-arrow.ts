import type { Vector } from 'apache-arrow'
import { DataType, tableFromIPC } from 'apache-arrow'
import { isRecord } from '../../kernel/is-record.ts'

/** A table as the package apache-arrow reads it: values in Lockstep's forms, by column. */
export interface ReadTable {
  readonly types: Readonly<Record<string, string>>
  readonly columns: Readonly<Record<string, unknown[]>>
  /** The JSON in the metadata. */
  readonly about: unknown
}

export function readArrow(bytes: Uint8Array): ReadTable {
  const table = tableFromIPC(bytes)
  const columns = table.schema.fields.map((field, f): [string, unknown[]] => {
    const vector = table.getChildAt(f)
    if (vector === null) throw new Error(`The column "${field.name}" is not there.`)
    return [field.name, valuesOf(vector)]
  })
  return {
    types: Object.fromEntries(table.schema.fields.map(({ name, type }) => [name, String(type)])),
    columns: Object.fromEntries(columns),
    about: JSON.parse(table.schema.metadata.get('lockstep') ?? 'null'),
  }
}

function valuesOf(vector: Vector): unknown[] {
  const { values: numbers } = vector.data[0] ?? { values: [] }
  // the package gives milliseconds as a number, which cannot hold all microseconds
  if (DataType.isTimestamp(vector.type)) {
    return Array.from({ length: vector.length }, (_, i) => (vector.isValid(i) ? Number((numbers as BigInt64Array)[i]) : null))
  }
  return Array.from({ length: vector.length }, (_, i) => {
    const value: unknown = vector.get(i)
    if (value === null || typeof value !== 'object') return value
    const plain: unknown = 'toJSON' in value && typeof value.toJSON === 'function' ? value.toJSON() : value
    if (DataType.isFixedSizeList(vector.type)) return Float32Array.from(plain as number[])
    return DataType.isMap(vector.type) && isRecord(plain)
      ? new Map(Object.entries(plain).map(([name, count]) => [name, Number(count)]))
      : plain
  })
}
