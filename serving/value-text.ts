import { Status, statusNames } from '../kernel/states/state.ts'
import { formatTimestamp } from '../kernel/values/time.ts'
import { countsJson } from '../kernel/values/value-json.ts'
import { memoizeWeak } from '../kernel/memoize-weak.ts'
import type { Column, CountsValue, ListValue, Value, ValueType } from '../kernel/values/value-type.ts'

/**
 * Compiled text of a value as JSON: int64 as an integer literal, timestamp as RFC 3339, what JSON cannot say as null.
 */
export function valueWriter(type: ValueType): (value: Value | null) => string {
  switch (type.kind) {
    case 'bool':
    case 'int32':
    case 'int64':
      return String
    case 'float32':
    case 'float64':
      return (value) => (Number.isFinite(value) ? (value as number).toString() : 'null')
    case 'string':
      return (value) => JSON.stringify(value)
    case 'timestamp':
      return (value) => (value === null ? 'null' : `"${formatTimestamp(value as number)}"`)
    case 'vector':
      return (value) =>
        value === null ? 'null' : `[${Array.from(value as Float32Array, (v) => (Number.isFinite(v) ? String(v) : 'null')).join()}]`
    case 'list': {
      const element = valueWriter(type.of)
      return (value) => (value === null ? 'null' : `[${(value as ListValue).map(element).join()}]`)
    }
    case 'counts':
      return (value) => (value === null ? 'null' : countsJson(value as CountsValue))
    default:
      return type satisfies never
  }
}

/** Whether JSON has a form for the value: NaN and the infinities have none. */
export function jsonCanSay(value: Value | null): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object') return true
  if (value instanceof Float32Array) return value.every(Number.isFinite)
  return Array.isArray(value) ? value.every(jsonCanSay) : true
}

/** Whether JSON has a form for each. */
export function canSayAll(values: readonly (Value | null)[]): boolean {
  for (const value of values) if (!jsonCanSay(value)) return false
  return true
}

/** Compiled text of an object of named values, in the order of the columns. */
export function recordWriter(columns: readonly Column<ValueType>[]): (values: readonly (Value | null)[]) => string {
  const writers = columns.map((column) => valueWriter(column.type))
  const names = columns.map((column, i) => `${i === 0 ? '{' : ','}${JSON.stringify(column.name)}:`)
  if (columns.length === 0) return () => '{}'
  return (values) => {
    let text = ''
    for (let i = 0; i < names.length; i++) text += (names[i] as string) + (writers[i] as (typeof writers)[number])(values[i] ?? null)
    return `${text}}`
  }
}

/** Compiled text that names the outputs of a prediction which JSON cannot represent. */
export const invalidWriter = memoizeWeak((outputs: readonly Column[]) => {
  const members = outputs.map(({ name }) => `${JSON.stringify(name)}:"${statusNames[Status.invalid]}"`)
  return (prediction: readonly (Value | null)[]) => `{${members.filter((_, o) => !jsonCanSay(prediction[o] ?? null)).join()}}`
})
