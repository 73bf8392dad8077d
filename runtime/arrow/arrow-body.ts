import type { CountsValue, ListValue, Value, ValueType, VectorType } from '../../kernel/values/value-type.ts'

type Values = readonly (Value | null)[]

/**
 * The body of a record batch: the buffers of its columns, each aligned to 8 bytes
 * (https://arrow.apache.org/docs/format/Columnar.html). Columns without nulls have an empty validity buffer.
 */
export class ArrowBody {
  /** Pairs of a length and a count of nulls, one for each column and for each of its children, depth first. */
  readonly nodes: number[] = []
  /** Pairs of an offset and a length in bytes. */
  readonly buffers: number[] = []
  bytes = 0
  readonly #parts: Uint8Array[] = []

  add(type: ValueType, values: Values): void {
    const nulls = countNulls(values)
    this.nodes.push(values.length, nulls)
    this.#part(nulls === 0 ? none : bitmap(values, (value) => value !== null))
    switch (type.kind) {
      case 'bool':
        return this.#part(bitmap(values, (value) => value === true))
      case 'int32':
        return this.#part(filled(new Int32Array(values.length), values))
      case 'float32':
        return this.#part(filled(new Float32Array(values.length), values))
      case 'float64':
        return this.#part(filled(new Float64Array(values.length), values))
      case 'int64':
        return this.#part(int64s(values))
      case 'timestamp':
        return this.#part(int64sOfNumbers(values))
      case 'string':
        return this.#texts(values as readonly (string | null)[])
      case 'vector':
        return this.#vectors(type, values as readonly (Float32Array | null)[])
      case 'list': {
        const lists = values as readonly (ListValue | null)[]
        this.#part(offsets(lists, (each) => each.length))
        return this.add(
          type.of,
          lists.flatMap((each) => each ?? []),
        )
      }
      case 'counts': {
        const maps = values as readonly (CountsValue | null)[]
        this.#part(offsets(maps, ({ size }) => size))
        return this.#entries(maps.flatMap((each) => [...(each ?? [])]))
      }
      default:
        return type satisfies never
    }
  }

  writeTo(bytes: Uint8Array, from: number): void {
    for (const [p, part] of this.#parts.entries()) bytes.set(part, from + (this.buffers[2 * p] as number))
  }

  /** The children of a map: a struct of two. */
  #entries(entries: readonly (readonly [category: string, count: number])[]): void {
    this.nodes.push(entries.length, 0)
    this.#part(none)
    this.add(
      { kind: 'string' },
      entries.map(([category]) => category),
    )
    // counts are integers of any size that a number holds exactly, as timestamps are
    this.add(
      { kind: 'timestamp' },
      entries.map(([, count]) => count),
    )
  }

  #texts(values: readonly (string | null)[]): void {
    const text = values.join('') // null is empty
    const data = Buffer.from(text)
    const isAscii = data.length === text.length
    this.#part(offsets(values, (value) => (isAscii ? value.length : Buffer.byteLength(value))))
    this.#part(data)
  }

  #vectors({ length }: VectorType, values: readonly (Float32Array | null)[]): void {
    const data = new Float32Array(values.length * length)
    for (const [i, value] of values.entries()) if (value !== null) data.set(value, i * length)
    this.nodes.push(data.length, 0)
    this.#part(none)
    this.#part(data)
  }

  #part(of: Uint8Array | Int32Array | Float32Array | Float64Array | BigInt64Array): void {
    this.#parts.push(new Uint8Array(of.buffer, of.byteOffset, of.byteLength))
    this.buffers.push(this.bytes, of.byteLength)
    this.bytes += Math.ceil(of.byteLength / 8) * 8
  }
}

const none = new Uint8Array(0)

function countNulls(values: Values): number {
  let nulls = 0
  for (const value of values) if (value === null) nulls++
  return nulls
}

function bitmap(values: Values, isSet: (value: Value | null) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(values.length / 8))
  for (let i = 0; i < values.length; i++) {
    if (isSet(values[i] as Value | null)) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7))
  }
  return bits
}

/** A null is 0. */
function filled<Numbers extends Int32Array | Float32Array | Float64Array>(numbers: Numbers, values: Values): Numbers {
  for (let i = 0; i < values.length; i++) numbers[i] = (values[i] as number | null) ?? 0
  return numbers
}

function int64s(values: Values): BigInt64Array {
  const numbers = new BigInt64Array(values.length)
  for (let i = 0; i < values.length; i++) numbers[i] = (values[i] as bigint | null) ?? 0n
  return numbers
}

function int64sOfNumbers(values: Values): Int32Array {
  const halves = new Int32Array(values.length * 2)
  for (let i = 0; i < values.length; i++) {
    const value = (values[i] as number | null) ?? 0
    halves[2 * i] = value // the low 32 bits, as an array of int32 takes them
    halves[2 * i + 1] = Math.floor(value / 2 ** 32)
  }
  return halves
}

/** Where each value begins among the children, and where the last one ends. */
function offsets<Each>(values: readonly (Each | null)[], lengthOf: (value: Each) => number): Int32Array {
  const from = new Int32Array(values.length + 1)
  for (const [i, value] of values.entries()) from[i + 1] = (from[i] as number) + (value === null ? 0 : lengthOf(value))
  return from
}
