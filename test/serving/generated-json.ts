import fc from 'fast-check'

/** The parts of JSON Schema that zod writes of what the routes take. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly additionalProperties?: Schema | boolean
  readonly minItems?: number
  readonly minimum?: number
  readonly maximum?: number
}

/**
 * Values that a schema accepts.
 *
 * @param words texts with a meaning for the server, which get further than others
 * @param free the value where the schema accepts anything
 */
export function valuesOf(schema: Schema, words: readonly string[], free: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const of = (inner: Schema): fc.Arbitrary<unknown> => valuesOf(inner, words, free)
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  const several = schema.anyOf ?? schema.oneOf
  if (several !== undefined) return fc.oneof(...several.map(of))
  if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map((type: string) => of({ ...schema, type })))
  switch (schema.type) {
    case 'object': {
      const { properties = {}, required = [], additionalProperties } = schema
      const known = fc.record(Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, of(inner)])), {
        requiredKeys: [...required],
      })
      if (typeof additionalProperties !== 'object') return known
      const more = fc.dictionary(textsOf(words), of(additionalProperties), { maxKeys: 3 })
      return fc.tuple(more, known).map(([others, own]) => ({ ...others, ...own }))
    }
    case 'array':
      return fc.array(of(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: (schema.minItems ?? 0) + 3 })
    case 'string':
      return textsOf(words)
    case 'integer': {
      const min = Math.max(schema.minimum ?? -3, -3)
      return fc.oneof(fc.integer({ min, max: Math.max(min, Math.min(schema.maximum ?? 5, 5)) }), fc.maxSafeInteger())
    }
    case 'number':
      return fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(1e300))
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      return free
  }
}

export function textsOf(words: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...words) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
  )
}

/**
 * Invalid input that a client may send by mistake or on purpose instead of `value`: a part is missing, of another type,
 * too deep or too much.
 */
export function mutationsOf(value: unknown, free: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  if (typeof value !== 'object' || value === null) return free
  const isArray = Array.isArray(value)
  const entries = Object.entries(value)
  const rebuilt = (changed: readonly (readonly [string, unknown])[]): unknown =>
    isArray ? changed.map(([, inner]) => inner) : Object.fromEntries(changed)
  const ways: fc.Arbitrary<unknown>[] = [
    free,
    fc.constant(nested(value, 200)),
    fc.tuple(fc.string(), free).map((entry) => rebuilt([...entries, entry])),
  ]
  if (entries.length > 0) {
    const some = fc.nat({ max: entries.length - 1 })
    ways.push(some.map((at) => rebuilt(entries.filter((_, i) => i !== at))))
    ways.push(
      some.chain((at) =>
        mutationsOf(entries[at]?.[1], free).map((inner) => rebuilt(entries.map(([name, old], i) => [name, i === at ? inner : old]))),
      ),
    )
  }
  return fc.oneof(...ways)
}

function nested(value: unknown, depth: number): unknown {
  let inner = value
  for (let i = 0; i < depth; i++) inner = [inner]
  return inner
}
