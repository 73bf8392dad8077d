import { LockstepError } from '../../kernel/errors.ts'
import type { Column, ListType, Scalar, ScalarType, Value, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'

/** A column of a stream as its schema describes it. */
export interface ArrowColumn {
  readonly name: string
  readonly type: ArrowType
  readonly children: readonly ArrowColumn[]
}

/** `size`: bits of an integer or float, or the elements of a fixed-size list. */
export interface ArrowType {
  readonly kind: 'int' | 'float' | 'bool' | 'utf8' | 'timestamp' | 'list' | 'fixedList' | 'map' | 'struct' | 'other'
  readonly size: number
  /** Whether offsets have 64 bits. */
  readonly large: boolean
  /** For messages. */
  readonly described: string
}

/** The lengths and buffers of a record batch, in depth-first order of its columns. */
export interface ArrowBuffers {
  readonly rows: number
  /** Pairs of a length and a count of nulls. */
  readonly nodes: readonly number[]
  /** Pairs of an offset in `body` and a length. */
  readonly buffers: readonly number[]
  readonly body: Uint8Array
}

type Values = (Value | null)[]

/** Reads a column at the cursor, and moves the cursor behind it. */
type ReadColumn = (cursor: Cursor) => Values

/**
 * Makes the reader of record batches: columns of the wanted types, in their order. Columns of a stream that are not
 * wanted are passed over. `null`: the stream does not have the column.
 *
 * A timestamp is in epoch microseconds, and may come as an int64. The greatest int64 is +Infinity, and the least is
 * -Infinity.
 *
 * @throws LockstepError `INVALID_TYPE` naming the column
 */
export function columnsReader(
  found: readonly ArrowColumn[],
  wanted: readonly Column<ValueType>[],
): (buffers: ArrowBuffers) => (Values | null)[] {
  const slots = found.map(({ name }) => wanted.findIndex((column) => column.name === name))
  const readers = found.map((column, i): ReadColumn => {
    const want = wanted[slots[i] as number]
    return want === undefined ? skip(column) : readerOf(column, want.type, column.name)
  })
  return (batch) => {
    const cursor = new Cursor(batch)
    const columns = new Array<Values | null>(wanted.length).fill(null)
    for (const [i, read] of readers.entries()) {
      const values = read(cursor)
      if ((slots[i] as number) >= 0) columns[slots[i] as number] = values
    }
    return columns
  }
}

class Cursor {
  readonly #batch: ArrowBuffers
  readonly #view: DataView
  #node = 0
  #buffer = 0

  constructor(batch: ArrowBuffers) {
    this.#batch = batch
    this.#view = new DataView(batch.body.buffer, batch.body.byteOffset, batch.body.byteLength)
  }

  /** @returns the length of the next column, and which of its values are null */
  node(): { readonly length: number; readonly isNull: ((row: number) => boolean) | null } {
    const [length, nulls] = [this.#batch.nodes[this.#node] as number, this.#batch.nodes[this.#node + 1] as number]
    this.#node += 2
    const validity = this.buffer()
    if (nulls === 0 || validity.byteLength === 0) return { length, isNull: null }
    return { length, isNull: (row) => ((validity.getUint8(row >> 3) >> (row & 7)) & 1) === 0 }
  }

  buffer(): DataView {
    const [at, length] = [this.#batch.buffers[this.#buffer] ?? 0, this.#batch.buffers[this.#buffer + 1] ?? 0]
    this.#buffer += 2
    return new DataView(this.#view.buffer, this.#view.byteOffset + at, length)
  }
}

const bufferCounts: Readonly<Record<ArrowType['kind'], number>> = {
  int: 1,
  float: 1,
  bool: 1,
  utf8: 2,
  timestamp: 1,
  list: 1,
  map: 1,
  fixedList: 0,
  struct: 0,
  other: 0,
}

function skip(column: ArrowColumn): ReadColumn {
  if (column.type.kind === 'other') throw unfit(column.name, column.type, 'a type that can be passed over')
  const children = column.children.map(skip)
  return (cursor) => {
    cursor.node()
    for (let i = 0; i < bufferCounts[column.type.kind]; i++) cursor.buffer()
    for (const child of children) child(cursor)
    return []
  }
}

function readerOf(column: ArrowColumn, type: ValueType, name: string): ReadColumn {
  switch (type.kind) {
    case 'vector':
      return vectorReader(column, type.length, name)
    case 'list':
      return listReader(column, type, name)
    case 'counts':
      return countsReader(column, name)
    default:
      return scalarReader(column, type, name)
  }
}

function scalarReader({ type: found }: ArrowColumn, type: ScalarType, name: string): ReadColumn {
  const at = scalarAt(found, type)
  if (at === null) throw unfit(name, found, typeName(type))
  if (found.kind === 'utf8') return textReader(found.large)
  return (cursor) => {
    const { length, isNull } = cursor.node()
    const data = cursor.buffer()
    const values = new Array<Value | null>(length)
    for (let i = 0; i < length; i++) values[i] = isNull?.(i) === true ? null : at(data, i)
    return values
  }
}

function scalarAt(found: ArrowType, { kind }: ScalarType): ((data: DataView, i: number) => Scalar) | null {
  const isInt64 = found.kind === 'int' && found.size === 64
  switch (kind) {
    case 'bool':
      return found.kind === 'bool' ? (data, i) => ((data.getUint8(i >> 3) >> (i & 7)) & 1) === 1 : null
    case 'int32':
      return found.kind === 'int' && found.size === 32 ? (data, i) => data.getInt32(4 * i, true) : null
    case 'int64':
      return isInt64 ? (data, i) => data.getBigInt64(8 * i, true) : null
    case 'float32':
      return found.kind === 'float' && found.size === 32 ? (data, i) => data.getFloat32(4 * i, true) : null
    case 'float64':
      return found.kind === 'float' && found.size === 64 ? (data, i) => data.getFloat64(8 * i, true) : null
    case 'timestamp':
      return isInt64 || found.kind === 'timestamp' ? microsAt : null
    case 'string':
      return found.kind === 'utf8' ? () => '' : null
    default:
      return kind satisfies never
  }
}

function microsAt(data: DataView, i: number): number {
  const [low, high] = [data.getUint32(8 * i, true), data.getInt32(8 * i + 4, true)]
  if (high === 0x7fffffff && low === 0xffffffff) return Number.POSITIVE_INFINITY
  if (high === -0x80000000 && low <= 1) return Number.NEGATIVE_INFINITY
  return high * 2 ** 32 + low
}

function textReader(large: boolean): ReadColumn {
  return (cursor) => {
    const { length, isNull } = cursor.node()
    const offsetAt = offsetReader(cursor.buffer(), large)
    const data = cursor.buffer()
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    const values = new Array<Value | null>(length)
    for (let i = 0; i < length; i++) values[i] = isNull?.(i) === true ? null : bytes.toString('utf8', offsetAt(i), offsetAt(i + 1))
    return values
  }
}

function offsetReader(offsets: DataView, large: boolean): (i: number) => number {
  // a column without rows may have no offsets at all
  if (offsets.byteLength === 0) return () => 0
  return large ? (i) => Number(offsets.getBigInt64(8 * i, true)) : (i) => offsets.getInt32(4 * i, true)
}

function vectorReader(column: ArrowColumn, size: number, name: string): ReadColumn {
  const { kind, size: fixed, large } = column.type
  const [child] = column.children
  const fits = (kind === 'list' || (kind === 'fixedList' && fixed === size)) && child?.type.kind === 'float' && child.type.size === 32
  if (child === undefined || !fits) throw unfit(name, column.type, `vector(${size})`)
  const readChild = scalarReader(child, { kind: 'float32' }, name)
  return (cursor) => {
    const { length, isNull } = cursor.node()
    const offsetAt = kind === 'fixedList' ? (i: number) => i * size : offsetReader(cursor.buffer(), large)
    const elements = readChild(cursor)
    const values = new Array<Value | null>(length)
    for (let i = 0; i < length; i++) {
      const [from, to] = [offsetAt(i), offsetAt(i + 1)]
      if (isNull?.(i) === true) {
        values[i] = null
        continue
      }
      if (to - from !== size || elements.slice(from, to).includes(null)) {
        throw new LockstepError(
          'INVALID_ROW',
          `The column "${name}" has an array of ${to - from} with or without NULL, but a vector of ${size} numbers is declared. Correct the row.`,
        )
      }
      values[i] = Float32Array.from(elements.slice(from, to) as number[])
    }
    return values
  }
}

function listReader(column: ArrowColumn, { of }: ListType, name: string): ReadColumn {
  const [child] = column.children
  if (column.type.kind !== 'list' || child === undefined) throw unfit(name, column.type, `a list of ${of.kind}`)
  const readChild = scalarReader(child, of, name)
  return (cursor) => {
    const { length, isNull } = cursor.node()
    const offsetAt = offsetReader(cursor.buffer(), column.type.large)
    const elements = readChild(cursor) as (Scalar | null)[]
    return Array.from({ length }, (_, i) => (isNull?.(i) === true ? null : elements.slice(offsetAt(i), offsetAt(i + 1))))
  }
}

function countsReader(column: ArrowColumn, name: string): ReadColumn {
  const [entries] = column.children
  const [key, value] = entries?.children ?? []
  if (column.type.kind !== 'map' || key === undefined || value === undefined) throw unfit(name, column.type, 'a map')
  const readKey = scalarReader(key, { kind: 'string' }, name)
  const readValue = scalarReader(value, { kind: 'timestamp' }, name)
  return (cursor) => {
    const { length, isNull } = cursor.node()
    const offsetAt = offsetReader(cursor.buffer(), false)
    cursor.node()
    const [keys, counts] = [readKey(cursor) as string[], readValue(cursor) as number[]]
    return Array.from({ length }, (_, i) => {
      if (isNull?.(i) === true) return null
      const [from, to] = [offsetAt(i), offsetAt(i + 1)]
      return new Map(keys.slice(from, to).map((category, j) => [category, counts[from + j] as number]))
    })
  }
}

function unfit(name: string, found: ArrowType, wanted: string): LockstepError {
  return new LockstepError(
    'INVALID_TYPE',
    `The column "${name}" of the Arrow stream is ${found.described}, but ${wanted} is needed. Cast it.`,
    {
      details: { column: name },
    },
  )
}
