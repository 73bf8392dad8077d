import { describe, expect, it } from 'vitest'
import type { Column } from '../../../kernel/values/value-type.ts'
import { comparePairs } from '../../../monitoring/shadow/compare-pairs.ts'
import { explainDifference } from '../../../monitoring/shadow/explain-difference.ts'
import type { LoggedPair } from '../../../monitoring/shadow/logged-pairs.ts'
import { compareOutput } from '../../../monitoring/shadow/output-difference.ts'
import { studentQuantile } from '../../../statistics/distributions.ts'
import { createRandom } from '../../../statistics/random.ts'

const score: Column = { name: 'score', type: { kind: 'float32' } }
const both: Column = { name: 'both', type: { kind: 'vector', length: 2 } }
const label: Column = { name: 'label', type: { kind: 'int64' } }

function pair(row: number, fields: Partial<LoggedPair>): LoggedPair {
  return {
    at: row,
    predictionId: `r.shadow/${row}`,
    championId: `r/${row}`,
    championVersion: 1,
    service: 'flight@1',
    asOf: 0,
    keys: { card: row },
    champion: {},
    candidate: {},
    championFeatures: {},
    candidateFeatures: {},
    ...fields,
  }
}

describe('the difference of an output', () => {
  it.each([
    ['numbers', score, 0.375, 0.25, -0.125, false],
    ['a number that crosses the threshold', score, 0.25, 0.75, 0.5, true],
    ['a number that becomes NaN', score, 0.75, 'NaN', null, true],
    ['NaN on both sides', score, 'NaN', 'NaN', 0, false],
    ['equal infinities', score, 'Infinity', 'Infinity', 0, false],
    ['two probabilities', both, [0.75, 0.25], [0.25, 0.75], 0.5, true],
    ['two numbers that are no probabilities', both, [5, 0.25], [3, 0.75], -2, true],
    ['vectors of different lengths', both, [0, 1], [1], null, true],
    ['equal classes', label, '3', '3', 0, false],
    ['classes that differ', label, '3', '4', 1, true],
  ])('of %s', (_, column, champion, candidate, difference, flips) => {
    const comparison = compareOutput(column, 0.5)
    expect([comparison.difference(champion, candidate), comparison.flips(champion, candidate)]).toEqual([difference, flips])
  })

  it('has no decisions of a number if the model declares no threshold', () => {
    expect(compareOutput(score, undefined).decides).toBeNull()
    expect(compareOutput(both, undefined).decides).toEqual({ threshold: 0.5 })
  })
})

it('counts each pair once, and names the greatest differences first', () => {
  const pairs = [0, 0.005, 0.02, -0.5].map((difference, row) =>
    pair(row, {
      champion: { score: 0.4 },
      candidate: { score: 0.4 + difference },
      championFeatures: { a: 1 },
      candidateFeatures: { a: row },
    }),
  )
  const compared = comparePairs([...pairs, pair(4, { champion: { score: 1 }, candidate: { score: 'NaN' } })], [score], {
    tolerance: 0.01,
    threshold: 0.41,
  })
  const [output] = compared.outputs
  expect(output).toMatchObject({ n: 4, notComparable: 1, beyond: { value: 3 / 5, n: 5 }, flips: { value: 2 / 5, threshold: 0.41 } })
  expect(output?.mean.value).toBeCloseTo((0.005 + 0.02 - 0.5) / 4, 12)
  expect(output?.quantiles.map(({ value }) => Number(value.toFixed(9)))).toEqual([0.005, 0.5, 0.5])
  expect(compared.examples.map(({ predictionId }) => predictionId)).toEqual(['r.shadow/4', 'r.shadow/3', 'r.shadow/2', 'r.shadow/1'])
  expect(compared.changedFeatures).toEqual([{ feature: 'a', share: 3 / 4, n: 4 }])
})

it('ranks the feature that decides where versions differ first, and one that has nothing to do with it near 0', () => {
  const random = createRandom(1)
  const rows = Array.from({ length: 2000 }, () => ({
    amount: random.below(1000),
    noise: random.below(1000),
    country: 'ABCD'[random.below(4)],
  }))
  const differences = rows.map(({ amount, country }) => (amount > 900 ? 1 : 0) + (country === 'B' ? 0.2 : 0))
  const column = (name: 'amount' | 'noise' | 'country') => rows.map((row) => row[name] ?? null)
  const explained = explainDifference(differences, new Map((['noise', 'country', 'amount'] as const).map((name) => [name, column(name)])))
  expect(explained.map(({ feature }) => feature).slice(0, 2)).toEqual(['amount', 'country'])
  expect(explained[0]?.explained).toBeGreaterThan(0.8)
  expect(explained.find(({ feature }) => feature === 'noise')?.explained ?? 0).toBeLessThan(0.02)
  expect(explained[1]?.most?.bin).toBe('B')
  const inB = differences.filter((_, i) => rows[i]?.country === 'B')
  expect(explained[1]?.most).toMatchObject({ n: inB.length })
  const mean = inB.reduce((sum, each) => sum + each, 0) / inB.length
  expect(explained[1]?.most?.mean).toBeCloseTo(mean, 9)
  // B is the greatest of four countries
  const deviation = Math.sqrt(inB.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (inB.length - 1))
  const half = (studentQuantile(1 - 0.05 / 4 / 2, inB.length - 1) * deviation) / Math.sqrt(inB.length)
  expect(explained[1]?.most?.high).toBeCloseTo(mean + half, 9)
})
