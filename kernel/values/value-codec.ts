import type { ByteReader, ByteWriter } from './binary.ts'
import type { CountsValue, ListValue, Scalar, Value, ValueType } from './value-type.ts'

export interface ValueCodec {
  write(writer: ByteWriter, value: Value | null): void
  read(reader: ByteReader): Value | null
}

/**
 * The canonical codec of a type. A byte 0 means null; otherwise a byte 1 (for bool 1 or 2) precedes the value. Values
 * must already be canonical.
 */
export function valueCodec(type: ValueType): ValueCodec {
  const { write, read } = presentCodec(type)
  if (type.kind === 'bool') {
    return {
      write: (w, v) => w.byte(v === null ? 0 : v === true ? 2 : 1),
      read: (r) => {
        const byte = r.byte()
        return byte === 0 ? null : byte === 2
      },
    }
  }
  // written out, because it is the most common type: it saves one call for each value of a training set
  if (type.kind === 'float64') {
    return {
      write(w, v) {
        if (v === null) return w.byte(0)
        w.byte(1)
        w.float64(v as number)
      },
      read: (r) => (r.byte() === 0 ? null : r.float64()),
    }
  }
  return {
    write(writer, value) {
      if (value === null) return writer.byte(0)
      writer.byte(1)
      write(writer, value)
    },
    read: (reader) => (reader.byte() === 0 ? null : read(reader)),
  }
}

/** A codec of values that are never null. */
export interface PresentCodec {
  write(writer: ByteWriter, value: Value): void
  read(reader: ByteReader): Value
}

export function presentCodec(type: ValueType): PresentCodec {
  switch (type.kind) {
    case 'bool':
      return { write: (w, v) => w.byte(v === true ? 1 : 0), read: (r) => r.byte() === 1 }
    case 'int32':
    case 'timestamp':
      return { write: (w, v) => w.int(v as number), read: (r) => r.int() }
    case 'int64':
      return { write: (w, v) => w.bigint64(v as bigint), read: (r) => r.bigint64() }
    case 'float32':
      return { write: (w, v) => w.float32(v as number), read: (r) => r.float32() }
    case 'float64':
      return { write: (w, v) => w.float64(v as number), read: (r) => r.float64() }
    case 'string':
      return { write: (w, v) => w.string(v as string), read: (r) => r.string() }
    case 'vector': {
      const { length } = type
      return {
        write(w, v) {
          for (const x of v as Float32Array) w.float32(x)
        },
        read(r) {
          const vector = new Float32Array(length)
          for (let i = 0; i < length; i++) vector[i] = r.float32()
          return vector
        },
      }
    }
    case 'list': {
      const element = valueCodec(type.of)
      return {
        write(w, v) {
          const list = v as ListValue
          w.uint(list.length)
          for (const x of list) element.write(w, x)
        },
        read(r) {
          const list: (Scalar | null)[] = []
          for (let left = r.uint(); left > 0; left--) list.push(element.read(r) as Scalar | null)
          return list
        },
      }
    }
    case 'counts':
      return {
        write(w, v) {
          const counts = v as CountsValue
          w.uint(counts.size)
          for (const [category, count] of counts) {
            w.string(category)
            w.uint(count)
          }
        },
        read(r) {
          const counts = new Map<string, number>()
          for (let left = r.uint(); left > 0; left--) counts.set(r.string(), r.uint())
          return counts
        },
      }
    default:
      return type satisfies never
  }
}
