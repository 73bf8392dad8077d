import fc from 'fast-check'
import type { Scalar, ScalarKind, Value, ValueType } from '../../kernel/values/value-type.ts'
import { maxMicros } from '../../kernel/values/value-type.ts'
import type { ArrowField } from '../../runtime/arrow/arrow-schema.ts'
import { arrowStream } from '../../runtime/arrow/arrow-stream.ts'

const micros = fc.integer({ min: -maxMicros, max: maxMicros }).map((value) => value + 0)
const float32 = fc.float()
const scalars = {
  bool: fc.boolean(),
  int32: fc.integer(),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  float32,
  float64: fc.double(),
  string: fc.string({ unit: 'grapheme', maxLength: 8 }),
  timestamp: micros,
} satisfies Record<ScalarKind, fc.Arbitrary<Scalar>>
export const scalarKinds = Object.keys(scalars) as ScalarKind[]

function scalarOf(kind: ScalarKind, nulls: boolean): fc.Arbitrary<Scalar | null> {
  const scalar: fc.Arbitrary<Scalar> = scalars[kind]
  return nulls ? fc.option(scalar) : scalar
}

/** A type, with values of it. */
const typed: fc.Arbitrary<{ type: ValueType; value: fc.Arbitrary<Value> }> = fc.oneof(
  fc.constantFrom(...scalarKinds).map((kind) => ({ type: { kind }, value: scalars[kind] })),
  fc.integer({ min: 1, max: 4 }).map((length) => ({
    type: { kind: 'vector' as const, length },
    value: fc.array(float32, { minLength: length, maxLength: length }).map((values) => Float32Array.from(values)),
  })),
  fc.tuple(fc.constantFrom(...scalarKinds.filter((kind) => kind !== 'timestamp')), fc.boolean()).map(([kind, nulls]) => ({
    type: { kind: 'list' as const, of: { kind }, nulls },
    value: fc.array<Scalar | null>(scalarOf(kind, nulls), { maxLength: 4 }),
  })),
  fc.constant({
    type: { kind: 'counts' as const },
    value: fc
      .dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.maxSafeNat(), { maxKeys: 4 })
      .map((counts) => new Map(Object.entries(counts))),
  }),
)

export interface GeneratedTable {
  readonly fields: readonly ArrowField[]
  readonly columns: readonly (readonly (Value | null)[])[]
  readonly rows: number
}

/** Generated tables, of columns of all types. */
export const arrowTables: fc.Arbitrary<GeneratedTable> = fc
  .tuple(fc.array(typed, { maxLength: 6 }), fc.integer({ min: 0, max: 40 }))
  .chain(([each, rows]) =>
    fc
      .tuple(...each.map(({ value }) => fc.array(fc.option(value), { minLength: rows, maxLength: rows })))
      .map((columns) => ({ fields: each.map(({ type }, f) => ({ name: `ü_${f}`, type, nullable: true })), columns, rows })),
  )

export const namedColumns = ({ fields, columns }: GeneratedTable): Record<string, unknown> =>
  Object.fromEntries(fields.map(({ name }, f) => [name, columns[f]]))
export const streamOf = ({ fields, columns, rows }: GeneratedTable, about: unknown): Uint8Array =>
  arrowStream(fields, columns, rows, JSON.stringify(about))
