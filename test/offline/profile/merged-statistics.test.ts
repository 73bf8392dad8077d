import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Column, Value, ValueType } from '../../../kernel/values/value-type.ts'
import type { StatisticsState } from '../../../offline/profile/column-statistics.ts'
import { collectStatistics } from '../../../offline/profile/column-statistics.ts'
import { budget } from '../../budget.ts'

const columns: readonly Column<ValueType>[] = [
  { name: 'float', type: { kind: 'float64' } },
  { name: 'big', type: { kind: 'int64' } },
  { name: 'text', type: { kind: 'string' } },
  { name: 'yes', type: { kind: 'bool' } },
  { name: 'at', type: { kind: 'timestamp' } },
  { name: 'list', type: { kind: 'vector', length: 1 } },
]
const orNull = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values, { freq: 6 })
const row = fc.tuple(
  orNull(fc.oneof(fc.double(), fc.constant(0), fc.constant(-0), fc.integer({ min: -9, max: 9 }))),
  orNull(fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: -5n, max: 5n }))),
  orNull(fc.oneof(fc.constantFrom('a', 'b', '\0', '\ud800', `${'x'.repeat(199)}😀`), fc.string())),
  orNull(fc.boolean()),
  orNull(fc.integer({ min: -1e15, max: 1e15 })),
  orNull(fc.constant(new Float32Array([1]))),
) as fc.Arbitrary<(Value | null)[]>

function collect(rows: readonly (readonly (Value | null)[])[]) {
  const collector = collectStatistics(columns)
  collector.update(columns.map((_, c) => rows.map((values) => values[c] as Value | null)))
  return collector
}

describe('statistics of rows in parts', () => {
  it('equal those of all rows at once, when merged through JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.array(row, { maxLength: 12 }), { maxLength: 5 }), (parts) => {
        const merged = collectStatistics(columns)
        for (const rows of parts) merged.merge(JSON.parse(JSON.stringify(collect(rows).state())) as StatisticsState)
        expect(merged.result()).toEqual(collect(parts.flat()).result())
      }),
      { numRuns: budget(300) },
    )
  })

  it('keep a bounded number of distinct values, and report the error bound', () => {
    const text = [{ name: 'text', type: { kind: 'string' } }] as const
    const merged = collectStatistics(text)
    for (let part = 0; part < 3; part++) {
      const one = collectStatistics(text)
      one.update([Array.from({ length: 20_000 }, (_, i) => (i % 4 === 0 ? 'often' : `${part} ${i}`))])
      merged.merge(one.state())
    }
    const [{ values } = {}] = merged.result()
    expect(values).toMatchObject({ approximate: true, distinct: null })
    const { value, count } = values?.top[0] ?? { value: '', count: 0 }
    expect(value).toBe('often')
    expect(count + (values?.error ?? 0)).toBeGreaterThanOrEqual(15_000)
    expect(count).toBeLessThanOrEqual(15_000)
  })
})
