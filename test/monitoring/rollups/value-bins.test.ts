import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RowBudget } from '../../../monitoring/rollups/row-budget.ts'
import { ValueBins } from '../../../monitoring/rollups/value-bins.ts'
import type { ColumnBins } from '../../../statistics/column-bins.ts'
import { binCount, binOf, categoryText } from '../../../statistics/column-bins.ts'
import { budget } from '../../budget.ts'

const edges = fc
  .array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true, noDefaultInfinity: true })))
  .map((all) => [...new Set(all.map((edge) => edge + 0))].toSorted((a, b) => a - b))
const numberBins = edges.map((found): ColumnBins => ({ kind: 'number', edges: found }))
const categories = (values: fc.Arbitrary<string>) =>
  fc.uniqueArray(values).map((found): ColumnBins => ({ kind: 'category', values: found }))

test('numbers get the bins that baselines give them', () => {
  const bins = fc.oneof(numberBins, categories(fc.integer({ min: -3, max: 3 }).map(String)))
  fc.assert(
    fc.property(bins, fc.oneof(fc.double(), fc.integer({ min: -4, max: 4 })), (of, x) => {
      const own = new ValueBins(of, false)
      expect(own.ofNumber(x)).toBe(binOf(of, x))
      expect(own.ofNull()).toBe(binOf(of, null))
      expect(own.count).toBe(binCount(of))
    }),
    { numRuns: budget(1000) },
  )
})

test('texts, booleans and vectors get the bins that baselines give them', () => {
  const long = 'long '.repeat(50)
  // as baselines keep them
  const kept = fc.constantFrom('a', 'b', 'true', 'false', '', long).map(categoryText)
  const bins = fc.oneof(numberBins, categories(kept))
  fc.assert(
    fc.property(bins, fc.constantFrom('a', 'b', 'c', '', long), fc.boolean(), (of, text, boolean) => {
      expect(new ValueBins(of, false).ofText(text)).toBe(binOf(of, text))
      expect(new ValueBins(of, true).ofNumber(boolean ? 1 : 0)).toBe(binOf(of, boolean))
      if (of.kind === 'category') expect(new ValueBins(of, false).ofOther()).toBe(binOf(of, new Float32Array(1)))
    }),
    { numRuns: budget(1000) },
  )
})

test('all rows are taken up to the budget, and a fair share above it', () => {
  const rows = new RowBudget(100)
  const takenIn = (second: number, count: number): number[] => {
    const taken: number[] = []
    for (let i = 0; i < count; i++) {
      rows.at(second * 1000 + (i * 1000) / count)
      if (rows.take()) taken.push(i)
    }
    return taken
  }
  expect(takenIn(0, 100)).toHaveLength(100)
  expect(takenIn(1, 50)).toHaveLength(50)
  // a sudden rush
  expect(takenIn(2, 2000).length).toBeLessThan(400)
  let first = 0
  let all = 0
  for (let second = 3; second < 103; second++) {
    const taken = takenIn(second, 2000)
    expect(taken.length).toBeLessThan(160)
    all += taken.length
    first += taken.filter((i) => i < 1000).length
  }
  expect(all / 100).toBeGreaterThan(70)
  // the first half of each second has no more than its share, but for the halving at its end
  expect(first / all).toBeLessThan(0.55)
})
