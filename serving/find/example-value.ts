import type { Value, ValueType } from '../../kernel/values/value-type.ts'

/** Past on every server, those of history included. */
export const exampleMoment = '2001-02-01T00:00:00Z'

/** A made-up value of the type, as JSON has it. */
export function exampleValue(type: ValueType): unknown {
  switch (type.kind) {
    case 'bool':
      return true
    case 'int32':
    case 'int64':
      return 1
    case 'float32':
    case 'float64':
      return 1.5
    case 'string':
      return 'example'
    case 'timestamp':
      return exampleMoment
    case 'vector':
      return Array<Value>(type.length).fill(0)
    case 'list':
      return [exampleValue(type.of)]
    case 'counts':
      return { example: 1 }
    default:
      return type satisfies never
  }
}
