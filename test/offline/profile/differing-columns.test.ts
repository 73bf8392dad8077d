import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Column, Value, ValueType } from '../../../kernel/values/value-type.ts'
import { collectStatistics } from '../../../offline/profile/column-statistics.ts'
import { columnsBeyondChance } from '../../../offline/profile/differing-columns.ts'
import { createRandom } from '../../../statistics/random.ts'
import { budget } from '../../budget.ts'

const columns: readonly Column<ValueType>[] = [
  { name: 'number', type: { kind: 'float64' } },
  { name: 'text', type: { kind: 'string' } },
  { name: 'time', type: { kind: 'timestamp' } },
]
const rows = 20_000

type Rows = readonly (Value | null)[][]

/** Some rows, with one value that is far from the others. */
function createRows(seed: number): Rows {
  const random = createRandom(seed)
  const numbers = Array.from({ length: rows }, (_, i) => (i === 7 ? 1e9 : random.below(10) === 0 ? null : random.below(1000)))
  const texts = numbers.map((number) => `t${(number ?? 0) % 7}`)
  return [numbers, texts, numbers.map((number) => (number === null ? null : number * 1e6))]
}

function statisticsOf(values: Rows) {
  const collector = collectStatistics(columns)
  collector.update(values)
  return collector.result()
}

function sampleOf(values: Rows, share: number, seed: number): Rows {
  const random = createRandom(seed)
  const taken = Array.from({ length: rows }, (_, i) => i).filter(() => random.below(1000) < share * 1000)
  return values.map((column) => taken.map((i) => column[i] as Value | null))
}

const changed = (values: Rows, c: number, change: (value: Value | null, i: number) => Value | null): Rows =>
  values.map((column, i) => (i === c ? column.map(change) : column))

describe('the statistics of a sample', () => {
  it('never differ by more than chance from those of all rows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom(0.01, 0.1, 0.5), (seed, share) => {
        const all = createRows(seed)
        expect(columnsBeyondChance(statisticsOf(all), statisticsOf(sampleOf(all, share, seed + 1)))).toEqual([])
      }),
      { numRuns: budget(100) },
    )
  })

  it.each([
    ['values that are moved', 'number', 0, (value) => (typeof value === 'number' && value < 1e6 ? Math.max(0, value - 300) : value)],
    ['a value that is out of range', 'number', 0, (value, i) => (i % 50 === 0 ? -1 : value)],
    ['more nulls', 'number', 0, (value, i) => (i % 4 === 0 ? null : value)],
    ['other shares of texts', 'text', 1, (value, i) => (i % 4 === 0 ? 't0' : value)],
    ['a text that no row had', 'text', 1, (value, i) => (i % 50 === 0 ? 'new' : value)],
    ['later times', 'time', 2, (value, i) => (i % 50 === 0 ? 1e18 : value)],
  ] as const satisfies readonly [string, string, number, (value: Value | null, i: number) => Value | null][])(
    'differ after a change to %s',
    (_, name, c, change) => {
      const all = createRows(5).map((column) => column.with(7, column[8] as Value | null))
      expect(columnsBeyondChance(statisticsOf(all), statisticsOf(sampleOf(changed(all, c, change), 0.5, 6)))).toEqual([name])
    },
  )
})
