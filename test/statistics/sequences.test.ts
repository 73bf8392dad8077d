import { describe, expect, it } from 'vitest'
import { asymptoticLowerBound, asymptoticSequence } from '../../statistics/confidence-sequence.ts'
import { proportionDifference, proportionRise } from '../../statistics/proportion-difference.ts'
import { type BinnedSample, quantileDifference, quantileRise } from '../../statistics/quantile-sequence.ts'
import { type Random, createRandom } from '../../statistics/random.ts'
import { budget } from '../budget.ts'

const alpha = 0.05

/** A skewed sample with ties. */
function draw(random: Random, n: number, shift = 0): number[] {
  return Array.from({ length: n }, () => Math.floor(10 * Math.exp(random.normal() + shift)))
}

function binned(values: readonly number[]): BinnedSample {
  const bins = [...Map.groupBy(values, (value) => value)].toSorted(([a], [b]) => a - b)
  const own = bins.map(([value]) => value)
  return { from: own, to: own, counts: bins.map(([, members]) => members.length) }
}

/** The counts of bins of width 5. */
function histogram(values: readonly number[]): BinnedSample {
  const bins = [...Map.groupBy(values, (value) => Math.floor(value / 5))].toSorted(([a], [b]) => a - b)
  return { from: bins.map(([bin]) => bin * 5), to: bins.map(([bin]) => bin * 5 + 5), counts: bins.map(([, members]) => members.length) }
}

/** Twice the standard error of a share of `repeats` above the greatest share that is right. */
function allowed(share: number, repeats: number): number {
  return share + 2 * Math.sqrt((share * (1 - share)) / repeats)
}

describe('an interval and its p-value agree', () => {
  const random = createRandom(41)
  const cases = Array.from({ length: budget(3000) }, () => [20 + random.below(400), 20 + random.below(400)] as const)

  it('for estimates, on one side and on two', () => {
    for (const [n] of cases) {
      const [value, error] = [random.normal() * 0.2, 0.02 + random.next() * 0.1]
      const two = asymptoticSequence(value, error, n)
      expect(two.low > 0 || two.high < 0).toBe(two.p <= alpha)
      const one = asymptoticLowerBound(value, error, n, { nullValue: -0.1 })
      expect(one.low > -0.1).toBe(one.p <= alpha)
      expect(one.low).toBeGreaterThan(two.low)
    }
    expect(asymptoticLowerBound(1, 0, 10)).toEqual({ value: 1, low: 1, p: 0, e: Number.POSITIVE_INFINITY })
    expect(asymptoticSequence(0, 0, 10)).toEqual({ value: 0, low: 0, high: 0, p: 1, e: 1 })
  })

  it('for two proportions', () => {
    for (const [n, m] of cases) {
      const control = { successes: random.below(n + 1), n }
      const treatment = { successes: Math.min(m, Math.round((control.successes / n) * m + random.normal() * 0.1 * m + 0.05 * m)), n: m }
      if (treatment.successes < 0) continue
      const two = proportionDifference(control, treatment)
      expect(two.low > 0 || two.high < 0).toBe(two.p <= alpha)
      expect(two.low <= two.value && two.value <= two.high).toBe(true)
      const one = proportionRise(control, treatment, { nullValue: 0.02 })
      expect(one.low > 0.02).toBe(one.p <= alpha)
    }
  })

  it('for quantiles, also from a histogram', () => {
    for (const [n, m] of cases.slice(0, budget(1000))) {
      const [control, treatment] = [draw(random, n), draw(random, m, random.normal() * 0.7)]
      const quantile = 0.5 + 0.4 * random.next()
      for (const bins of [binned, histogram]) {
        const [a, b] = [bins(control), bins(treatment)]
        const two = quantileDifference(a, b, quantile)
        expect(two.low > 0 || two.high < 0).toBe(two.p <= alpha)
        const rise = quantileRise(a, b, quantile, 1.1)
        expect(rise.low > 1.1).toBe(rise.p <= alpha)
        expect(two.low <= two.value && two.value <= two.high).toBe(true)
      }
    }
  })
})

describe('without draws', () => {
  it('says nothing', () => {
    const none = { successes: 0, n: 0 }
    expect(proportionDifference(none, none)).toMatchObject({ low: -1, high: 1, p: 1 })
    expect(proportionRise(none, { successes: 3, n: 3 })).toMatchObject({ p: 1 })
    const empty = binned([])
    const some = binned([1, 2, 3])
    for (const [a, b] of [
      [empty, empty],
      [empty, some],
      [some, empty],
    ] as const) {
      expect(quantileDifference(a, b, 0.5)).toMatchObject({ low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY, p: 1 })
      expect(quantileRise(a, b, 0.5, 1)).toMatchObject({ p: 1 })
    }
  })
})

describe('at every look', () => {
  it('no sequence excludes the truth more often than it says', () => {
    const repeats = budget(600)
    const random = createRandom(42)
    const wrong = { proportions: 0, rise: 0, quantiles: 0, slower: 0 }
    for (let r = 0; r < repeats; r++) {
      const [a, b] = [
        { successes: 0, n: 0 },
        { successes: 0, n: 0 },
      ]
      const [control, treatment]: [number[], number[]] = [[], []]
      const found = new Set<keyof typeof wrong>()
      const note = (kind: keyof typeof wrong, p: number) => {
        if (p <= alpha) found.add(kind)
      }
      for (let look = 1; look <= 60; look++) {
        for (let i = 0; i < 10; i++) {
          for (const arm of [a, b]) {
            arm.n++
            if (random.next() < 0.05) arm.successes++
          }
          control.push(...draw(random, 1))
          // nine in ten units are of the control
          if (i === 0) treatment.push(...draw(random, 1))
        }
        note('proportions', proportionDifference(a, b).p)
        note('rise', proportionRise(a, b).p)
        if (look % 10 > 0) continue
        const [first, second] = [binned(control), binned(treatment)]
        note('quantiles', quantileDifference(first, second, 0.8).p)
        note('slower', quantileRise(first, second, 0.8, 1).p)
      }
      for (const kind of found) wrong[kind]++
    }
    for (const [kind, count] of Object.entries(wrong)) expect(count / repeats, kind).toBeLessThan(allowed(alpha, repeats))
  })

  it('finds a slower quantile, a higher error rate and a worse mean', () => {
    const random = createRandom(43)
    const [fast, slow] = [histogram(draw(random, 2000)), histogram(draw(random, 2000, 0.5))]
    expect(quantileRise(fast, slow, 0.95, 1.1).p).toBeLessThan(0.01)
    expect(quantileRise(fast, slow, 0.95, 2).p).toBe(1)
    expect(proportionRise({ successes: 10, n: 10_000 }, { successes: 6, n: 30 }, { nullValue: 0.005 }).p).toBeLessThan(0.01)
    expect(proportionRise({ successes: 100, n: 10_000 }, { successes: 12, n: 1000 }, { nullValue: 0.005 }).p).toBe(1)
    expect(asymptoticLowerBound(-0.01, 0.004, 5000, { nullValue: -0.03 }).p).toBeLessThan(0.01)
  })
})
