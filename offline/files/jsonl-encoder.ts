import { formatTimestamp } from '../../kernel/values/time.ts'
import { countsJson, shortFloat32 } from '../../kernel/values/value-json.ts'
import type { Column, CountsValue, ListValue, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { BatchEncoder } from './dataset-writer.ts'

/**
 * One JSON object a line with every column: int64 as an integer literal, exact at any size; times as RFC 3339; null for
 * missing values and for values that JSON lacks (NaN and the infinities).
 */
export function createJsonLinesEncoder(columns: readonly Column<ValueType>[]): BatchEncoder {
  const names = columns.map(({ name }, i) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`)
  const formats = columns.map(({ type }) => jsonFormat(type))
  return {
    write(batch) {
      const rows = batch[0]?.length ?? 0
      let text = ''
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < formats.length; j++) {
          const value = batch[j]?.[i] ?? null
          text += (names[j] as string) + (value === null ? 'null' : (formats[j] as JsonFormat)(value))
        }
        text += '}\n'
      }
      return text === '' ? [] : [Buffer.from(text)]
    },
    finish: () => [],
  }
}

type JsonFormat = (value: Value) => string

function jsonFormat(type: ValueType): JsonFormat {
  switch (type.kind) {
    case 'bool':
    case 'int32':
    case 'int64':
      return String
    case 'float32':
      return (value) => number(shortFloat32(value as number))
    case 'float64':
      return (value) => number(value as number)
    case 'string':
      return (value) => JSON.stringify(value)
    case 'timestamp':
      return (value) => `"${formatTimestamp(value as number)}"`
    case 'vector':
      return (value) => `[${Array.from(value as Float32Array, (each) => number(shortFloat32(each))).join(',')}]`
    case 'list': {
      const element = jsonFormat(type.of)
      return (value) => `[${(value as ListValue).map((each) => (each === null ? 'null' : element(each))).join(',')}]`
    }
    case 'counts':
      return (value) => countsJson(value as CountsValue)
    default:
      return type satisfies never
  }
}

/** The shortest decimal that reads back to the same bits. */
function number(value: number): string {
  if (Object.is(value, -0)) return '-0'
  return Number.isFinite(value) ? String(value) : 'null'
}
