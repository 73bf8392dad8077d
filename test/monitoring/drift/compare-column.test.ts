import { describe, expect, it } from 'vitest'
import type { ColumnSide } from '../../../monitoring/drift/compare-column.ts'
import { compareColumn } from '../../../monitoring/drift/compare-column.ts'
import { entityRows, entitySums, finiteValues, knownNumbers, profileColumn } from '../../../offline/profile/column-profile.ts'
import type { Value, ValueType } from '../../../kernel/values/value-type.ts'
import type { ColumnBins } from '../../../statistics/column-bins.ts'
import { createRandom } from '../../../statistics/random.ts'

const random = createRandom(7)
const normals = (count: number, mean = 0) => Array.from({ length: count }, () => random.normal() + mean)

function sideOf(bins: ColumnBins, values: readonly (Value | null)[], perEntity = 1, statuses: ColumnSide['statuses'] = {}): ColumnSide {
  const sums = entitySums(bins, values, entityRows(values.map((_, i) => String(Math.floor(i / perEntity)))))
  const finite = finiteValues(values)
  return { statuses, counts: [...sums.counts], sums, numbers: finite.length === 0 ? null : knownNumbers(finite) }
}

function compare(
  baseline: readonly (Value | null)[],
  window: readonly (Value | null)[],
  kind: 'float64' | 'string' = 'float64',
  perEntity = 1,
) {
  const type: ValueType = { kind }
  const { bins } = profileColumn({ name: 'x', type }, baseline, entityRows(baseline.map((_, i) => String(i))))
  return compareColumn(bins, sideOf(bins, baseline), sideOf(bins, window, perEntity))
}

describe('comparing a column', () => {
  it('finds no drift between samples of one distribution', () => {
    const { test, distances, outOfRange } = compare(normals(5000), normals(2000))
    expect(test?.p).toBeGreaterThan(0.01)
    expect((distances?.psi ?? 1) - (test?.psiByChance ?? 0)).toBeLessThan(0.02)
    expect(outOfRange?.below).toBeLessThan(0.01)
  })

  it('finds a change of unit by every distance', () => {
    const { test, distances, outOfRange } = compare(
      normals(5000, 10),
      normals(2000, 10).map((value) => value * 100),
    )
    expect(test?.p).toBeLessThan(1e-9)
    expect(outOfRange?.above).toBeGreaterThan(0.99)
    expect(distances).toMatchObject({
      totalVariation: expect.closeTo(1, 2),
      kolmogorovSmirnov: expect.closeTo(1, 2),
      hellinger: expect.closeTo(1, 2),
    })
    expect(distances?.psi).toBeGreaterThan(5)
    expect(Number.isFinite(distances?.psi)).toBe(true)
    // each value stands at its bin's middle, or at the greatest of the window
    expect(distances?.wasserstein).toBeGreaterThan(900)
  })

  it.each([
    ['constant number', 'float64', 1, 2],
    ['constant category', 'string', 'a', 'b'],
  ] as const)('finds a %s that became another one', (_, kind, before, after) => {
    const [baseline, window] = [Array.from({ length: 3000 }, () => before), Array.from({ length: 1000 }, () => after)]
    const { test, distances } = compare(baseline, window, kind)
    expect(test).toMatchObject({ p: 0, reason: null })
    expect(distances?.totalVariation).toBe(1)
    // too few rows, and a constant that stayed, are no drift
    expect(compare(baseline, window.slice(0, 20), kind).test?.p).toBeNull()
    expect(compare(baseline, baseline.slice(0, 1000), kind).test?.p).toBe(1)
  })

  it('finds no drift where every entity has the same shares on both sides', () => {
    const rows = (count: number) => Array.from({ length: count }, (_, i) => (i % 2 === 0 ? 'debit' : 'credit'))
    const { bins } = profileColumn({ name: 'x', type: { kind: 'string' } }, rows(400), entityRows(rows(400).map((_, i) => String(i))))
    const { test } = compareColumn(bins, sideOf(bins, rows(400), 2), sideOf(bins, rows(200), 2))
    expect(test).toMatchObject({ p: 1, chiSquared: 0, psiByChance: 0 })
  })

  it('finds a category that the baseline does not name', () => {
    const baseline = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? 'a' : 'b'))
    const window = Array.from({ length: 1000 }, (_, i) => (i % 10 === 0 ? 'new' : i % 3 === 0 ? 'a' : 'b'))
    const { test, distances, otherCategories, outOfRange } = compare(baseline, window, 'string')
    expect([otherCategories, outOfRange]).toEqual([{ baseline: 0, window: 0.1 }, null])
    expect(test?.p).toBeLessThan(1e-9)
    expect(distances).toMatchObject({ kolmogorovSmirnov: null, wasserstein: null })
  })

  it('shows nulls by reason', () => {
    const bins: ColumnBins = { kind: 'number', edges: [0, 1] }
    const baseline = sideOf(bins, [0.5, 0.5, null, 0.5], 1, { PRESENT: 300, NULL_VALUE: 100 })
    const window = sideOf(bins, [null, null, null, 0.5], 1, { PRESENT: 10, NULL_VALUE: 10, NOT_FOUND: 20 })
    expect(compareColumn(bins, baseline, window).missing).toEqual({
      baseline: 0.25,
      window: 0.75,
      reasons: [
        { status: 'NULL_VALUE', baseline: 0.25, window: 0.25 },
        { status: 'NOT_FOUND', baseline: 0, window: 0.5 },
      ],
    })
  })

  it('says that a window is too small, and gives no p-value', () => {
    const { test, distances } = compare(normals(5000), normals(20))
    expect(test).toMatchObject({ p: null, reason: 'The window has the weight of 20 entities; a test needs 30' })
    expect(distances?.psi).toBeGreaterThan(0)
  })

  it('counts entities and not rows', () => {
    const window = normals(200).flatMap((value) => new Array<number>(10).fill(value))
    const { test, rows } = compare(normals(5000), window, 'float64', 10)
    expect([rows.window, test?.entities.window]).toEqual([2000, 200])
    expect(test?.p).toBeGreaterThan(0.01)
  })

  it('has neither distances nor a test for a side without rows', () => {
    expect(compare(normals(100), [])).toMatchObject({
      distances: null,
      test: null,
      rows: { baseline: 100, window: 0 },
      missing: { baseline: 0, window: null },
    })
  })
})
