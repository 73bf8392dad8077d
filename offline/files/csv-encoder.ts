import { formatTimestamp } from '../../kernel/values/time.ts'
import { countsJson, shortFloat32, valueToJson } from '../../kernel/values/value-json.ts'
import type { Column, CountsValue, ListValue, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { BatchEncoder } from './dataset-writer.ts'

/**
 * CSV by RFC 4180 with a header. Times are RFC 3339, null is an empty field, empty text is `""`, NaN and the infinities
 * are written by name. A vector is a JSON array in quotes; a list and counts are JSON (`valueToJson`) in quotes.
 */
export function createCsvEncoder(columns: readonly Column<ValueType>[]): BatchEncoder {
  const formats = columns.map(({ type }) => fieldFormat(type))
  let header: string | null = `${columns.map(({ name }) => quoted(name)).join(',')}\r\n`

  function takeHeader(): string {
    const text = header ?? ''
    header = null
    return text
  }

  return {
    write(batch) {
      let text = takeHeader()
      const rows = batch[0]?.length ?? 0
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < formats.length; j++) {
          const value = batch[j]?.[i] ?? null
          if (j > 0) text += ','
          if (value !== null) text += (formats[j] as FieldFormat)(value)
        }
        text += '\r\n'
      }
      return text === '' ? [] : [Buffer.from(text)]
    },
    finish() {
      const text = takeHeader()
      return text === '' ? [] : [Buffer.from(text)]
    },
  }
}

type FieldFormat = (value: Value) => string

function fieldFormat(type: ValueType): FieldFormat {
  switch (type.kind) {
    case 'timestamp':
      return (value) => formatTimestamp(value as number)
    case 'string':
      return (value) => quoted(value as string)
    case 'vector':
      return (value) => quoted(`[${Array.from(value as Float32Array, (each) => number(shortFloat32(each))).join(',')}]`)
    case 'list': {
      const short = (value: ListValue): ListValue => value.map((each) => (typeof each === 'number' ? shortFloat32(each) : each))
      return (value) => quoted(JSON.stringify(valueToJson(type, type.of.kind === 'float32' ? short(value as ListValue) : value)))
    }
    case 'counts':
      return (value) => quoted(countsJson(value as CountsValue))
    case 'float32':
      return (value) => number(shortFloat32(value as number))
    case 'float64':
      return (value) => number(value as number)
    case 'bool':
    case 'int32':
    case 'int64':
      return String
    default:
      return type satisfies never
  }
}

/** The shortest decimal that reads back to the same bits. */
function number(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value)
}

function quoted(text: string): string {
  return text === '' || /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
