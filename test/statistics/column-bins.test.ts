import fc from 'fast-check'
import { expect, it } from 'vitest'
import { binCount, binLabels, binOf, categoryBins, firstNumberBin, numberBins } from '../../statistics/column-bins.ts'
import { budget } from '../budget.ts'

/** There is no number below the least double, so it counts as below itself. */
const finite = fc.double({ noNaN: true, min: -1e308, max: 1e308 })
const few = fc.integer({ min: -3, max: 3 })

it('a bin of numbers covers (edge, next edge], and values outside have bins of their own', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(finite, few), { minLength: 1 }), fc.oneof(finite, few), (values, other) => {
      const bins = numberBins(Float64Array.from(values).sort())
      if (bins.kind !== 'number') throw new Error('no number bins')
      const { edges } = bins
      expect(edges.every((edge, i) => i === 0 || edge > (edges[i - 1] as number))).toBe(true)
      for (const value of values) {
        const bin = binOf(bins, value) - firstNumberBin
        expect(value > (edges[bin - 1] as number) && value <= (edges[bin] as number)).toBe(true)
      }
      const [least, greatest] = [Math.min(...values), Math.max(...values)]
      expect(binOf(bins, other) === firstNumberBin).toBe(other < least)
      expect(binOf(bins, other) === binCount(bins) - 1).toBe(other > greatest)
    }),
    { numRuns: budget(500) },
  )
})

it('bins of distinct numbers have equal mass', () => {
  const bins = numberBins(Float64Array.from({ length: 1000 }, (_, i) => i))
  const counts = new Array<number>(binCount(bins)).fill(0)
  for (let i = 0; i < 1000; i++) (counts[binOf(bins, i)] as number)++
  expect(counts).toEqual([0, 0, 0, 0, 0, ...new Array<number>(10).fill(100), 0])
})

it('null, NaN and the infinities have bins of their own', () => {
  const bins = numberBins(Float64Array.of(3, 3, 7.5, 12))
  expect([null, undefined, Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY].map((value) => binOf(bins, value))).toEqual([
    0, 0, 1, 2, 3,
  ])
  expect(binOf(bins, 5n)).toBe(binOf(bins, 5))
  expect(binLabels(bins)).toEqual(['null', 'NaN', '-infinity', 'infinity', 'below 3', '3', '3 to 7.5', '7.5 to 12', 'above 12'])
  expect(binLabels(bins)).toHaveLength(binCount(bins))
})

it('a column without finite numbers has one bin for all finite numbers', () => {
  const bins = numberBins(Float64Array.of())
  expect([binOf(bins, -1), binOf(bins, 1), binCount(bins)]).toEqual([4, 4, 5])
  expect(binLabels(bins)).toHaveLength(5)
})

it('categories keep the twenty most frequent values and count the rest as others', () => {
  const counts = new Map(Array.from({ length: 25 }, (_, i) => [`value ${i}`, 100 - i]))
  const bins = categoryBins(counts)
  expect(binCount(bins)).toBe(22)
  expect([null, 'value 0', 'value 19', 'value 20', 'new'].map((value) => binOf(bins, value))).toEqual([0, 1, 20, 21, 21])
  expect(binLabels(bins).at(-1)).toBe('other')
})

it('booleans and whole numbers are categories by their text, and a list only counts as not null', () => {
  const bins = categoryBins(
    new Map([
      ['true', 2],
      ['7', 1],
    ]),
  )
  expect([true, 7, 7n, false].map((value) => binOf(bins, value))).toEqual([1, 2, 2, 3])
  expect([null, [1], new Float32Array(2)].map((value) => binOf({ kind: 'category', values: [] }, value))).toEqual([0, 1, 1])
})
