import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Scalar, ScalarKind, Value, ValueType } from '../../kernel/value-type.ts'
import { maxMicros } from '../../kernel/value-type.ts'
import type { ArrowField } from '../../serving/protocols/http/arrow/arrow-schema.ts'
import { arrowStream } from '../../serving/protocols/http/arrow/arrow-stream.ts'
import { budget } from '../budget.ts'
import { pythonWith } from '../python-with.ts'
import { readArrow } from './read-arrow.ts'

const execute = promisify(execFile)

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
const scalarKinds = Object.keys(scalars) as ScalarKind[]

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

interface Generated {
  readonly fields: readonly ArrowField[]
  readonly columns: readonly (readonly (Value | null)[])[]
  readonly rows: number
}

const tables: fc.Arbitrary<Generated> = fc
  .tuple(fc.array(typed, { maxLength: 6 }), fc.integer({ min: 0, max: 40 }))
  .chain(([each, rows]) =>
    fc
      .tuple(...each.map(({ value }) => fc.array(fc.option(value), { minLength: rows, maxLength: rows })))
      .map((columns) => ({ fields: each.map(({ type }, f) => ({ name: `ü_${f}`, type, nullable: true })), columns, rows })),
  )

const namedColumns = ({ fields, columns }: Generated): Record<string, unknown> =>
  Object.fromEntries(fields.map(({ name }, f) => [name, columns[f]]))
const streamOf = ({ fields, columns, rows }: Generated, about: unknown): Uint8Array =>
  arrowStream(fields, columns, rows, JSON.stringify(about))

describe('an Arrow stream', () => {
  it('is read back exactly by the package apache-arrow, for every type', () => {
    fc.assert(
      fc.property(tables, fc.string({ unit: 'grapheme' }), (table, text) => {
        const { columns, about } = readArrow(streamOf(table, { text }))
        expect(columns).toEqual(namedColumns(table))
        expect(about).toEqual({ text })
      }),
      { numRuns: budget(1000) },
    )
  })

  it('has columns of the types that the docs list', () => {
    const kinds: ValueType[] = [
      ...scalarKinds.map((kind) => ({ kind })),
      { kind: 'vector', length: 3 },
      { kind: 'list', of: { kind: 'int64' }, nulls: true },
      { kind: 'counts' },
    ]
    const fields = kinds.map((type): ArrowField => ({ name: type.kind, type, nullable: true }))
    const { types } = readArrow(streamOf({ fields, columns: fields.map(() => []), rows: 0 }, {}))
    expect(types).toEqual({
      bool: 'Bool',
      int32: 'Int32',
      int64: 'Int64',
      float32: 'Float32',
      float64: 'Float64',
      string: 'Utf8',
      timestamp: 'Timestamp<MICROSECOND, UTC>',
      vector: 'FixedSizeList[3]<Float32>',
      list: 'List<Int64>',
      counts: 'Map<{key:Utf8, value:Int64}>',
    })
  })

  it('is valid to pyarrow, which writes equal values', async () => {
    const python = join(await pythonWith('arrow', ['pyarrow==26.0.1']), 'python')
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-arrow-'))
    const generated = fc.sample(tables, budget(300))
    for (const [i, table] of generated.entries()) await writeFile(join(folder, `${i}.arrows`), streamOf(table, {}))
    await execute(python, ['-c', program, folder, String(generated.length)])
    for (const [i, table] of generated.entries()) {
      expect(readArrow(await readFile(join(folder, `${i}.arrows`))).columns, `table ${i}`).toEqual(namedColumns(table))
    }
    await rm(folder, { recursive: true })
  }, 300_000)
})

/** Validates the tables, and writes them again from their values as Python has them. */
const program = `
import sys
import pyarrow as pa

for i in range(int(sys.argv[2])):
    path = f"{sys.argv[1]}/{i}.arrows"
    with open(path, "rb") as file:
        table = pa.ipc.open_stream(file).read_all()
    table.validate(full=True)
    columns = [pa.array(column.to_pylist(), type=column.type) for column in table.columns]
    if not columns:
        continue  # there are no values to write again
    with pa.OSFile(path, "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_batch(pa.record_batch(columns, schema=table.schema))
`
