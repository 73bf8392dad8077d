import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createUnitSummer, linearized } from '../../monitoring/experiments/unit-sums.ts'
import { type Slice, unitPlace, reslice, variantAt } from '../../statistics/assign.ts'
import { bayesianEffect } from '../../statistics/bayesian-effect.ts'
import { asymptoticSequence, quantileRanks } from '../../statistics/confidence-sequence.ts'
import { adjustForCovariates } from '../../statistics/covariate-adjustment.ts'
import { chiSquaredSurvival } from '../../statistics/distributions.ts'
import { heterogeneity } from '../../statistics/heterogeneity.ts'
import { difference, relativeLift } from '../../statistics/lift.ts'
import { detectableEffect, power, unitsNeeded } from '../../statistics/power.ts'
import { createRandom } from '../../statistics/random.ts'
import { sampleRatioP } from '../../statistics/sample-ratio.ts'
import { budget } from '../budget.ts'
import { expectClose } from './expect-close.ts'
import vectors from './vectors.json' with { type: 'json' }

const { experiments } = vectors

function sumsOf(y: readonly number[], covariates: readonly (readonly number[])[]) {
  const summer = createUnitSummer(2 + (covariates[0]?.length ?? 0))
  for (const [i, value] of y.entries()) summer.add([value, 1, ...(covariates[i] ?? [])])
  return linearized(summer.sums(), false).sums
}

describe('statistics of experiments agree with gbstats, statsmodels and Python', () => {
  it('places of units', () => {
    for (const [salt, unit, place] of experiments.places) expect(unitPlace(String(salt), String(unit))).toBe(place)
  })

  it('confidence sequences of differences and lifts, and their p-values', () => {
    for (const { control, treatment, n, kind, tightestAt, ...expected } of experiments.sequences) {
      const { value, standardError } = (kind === 'relative' ? relativeLift : difference)(control, treatment)
      const own = asymptoticSequence(value, standardError, n, { tightestAt })
      for (const name of ['value', 'low', 'high', 'p'] as const) expectClose(own[name], expected[name], `${kind} ${name}`)
    }
  })

  it('ratio metrics', () => {
    for (const { numerator, denominator, covariance, n, ...expected } of experiments.ratios) {
      const cross = [numerator.variance, covariance, covariance, denominator.variance].map((each) => each * (n - 1))
      const { sums } = linearized(
        { n, mean: [numerator.mean, denominator.mean], cross, third: [0, 0, 0, 0], cubes: [0, 0], nonZero: n },
        true,
      )
      expectClose(sums.meanY, expected.mean, 'mean')
      expectClose(sums.squaresY / (n - 1) / n, expected.varianceOfMean, 'variance')
    }
  })

  it('metrics adjusted for covariates', () => {
    for (const { arms, theta, means, variances } of experiments.adjusted) {
      const own = adjustForCovariates(arms.map(({ y, x }) => sumsOf(y, x)))
      for (const [k, value] of own.theta.entries()) expectClose(value, theta[k] as number, `theta ${k}`)
      for (const [a, arm] of own.arms.entries()) {
        expectClose(arm.mean, means[a] as number, `mean ${a}`)
        expectClose(arm.variance, variances[a] as number, `variance ${a}`)
      }
    }
  })

  it('power', () => {
    for (const [effect = 0, control = 0, treatment = 0, expected = 0] of experiments.power)
      expectClose(power(effect, { control, treatment }), expected, `power of ${effect} at ${control}`)
    for (const options of [{}, { alpha: 0.01 }, { tightestAt: 1000 }]) {
      const n = { control: 500, treatment: 700 }
      const effect = detectableEffect(n, 0.9, options)
      expect(power(effect, n, options)).toBeCloseTo(0.9, 9)
      expect(unitsNeeded(effect, 7 / 12, 0.9, options)).toBe(1200)
    }
    expect(unitsNeeded(0, 0.5)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('further results agree with gbstats and statsmodels', () => {
  it('Bayesian effects, with and without a prior', () => {
    for (const { control, treatment, unit, better, prior, risk, ...expected } of vectors.bayesian) {
      const relative = unit === 'relative'
      const { value, standardError } = (relative ? relativeLift : difference)(control, treatment)
      // a prior of the vectors may have the other unit
      const scale = prior === null || prior.unit === unit ? 1 : relative ? 1 / Math.abs(control.mean) : Math.abs(control.mean)
      const own = bayesianEffect(value, standardError, {
        better: better === 'lower' ? 'lower' : 'higher',
        prior: prior === null ? null : { mean: prior.mean * scale, deviation: prior.deviation * scale },
      })
      for (const name of ['value', 'deviation', 'low', 'high', 'chanceToWin'] as const)
        expectClose(own[name], expected[name], `${unit} ${name}`)
      expectClose(own.risk.control, risk[0] as number, 'risk of the control')
      expectClose(own.risk.treatment, risk[1] as number, 'risk of the treatment')
    }
  })

  it('effects of slices that differ', () => {
    for (const { values, errors, q, p } of vectors.heterogeneous) {
      const effects = values.map((value, i) => ({ value, standardError: errors[i] as number }))
      const own = heterogeneity(effects, 1000)
      expectClose(own.q, q, 'Q')
      expectClose(own.p, p, 'p')
      // looking at any time costs power
      expect(own.anytimeP).toBeGreaterThan(own.p)
    }
    expect(heterogeneity([{ value: 1, standardError: 0.1 }], 100)).toMatchObject({ p: 1, anytimeP: 1 })
  })
})

describe('assignment', () => {
  it('spreads units evenly, whatever the salt', () => {
    const n = budget(400_000)
    for (const salt of ['a', 'b', 'delay_model_v7']) {
      const counts = new Array<number>(20).fill(0)
      for (let i = 0; i < n; i++) {
        const bin = Math.floor(unitPlace(salt, `user-${i}`) * 20)
        counts[bin] = (counts[bin] as number) + 1
      }
      const statistic = counts.reduce((sum, count) => sum + (count - n / 20) ** 2 / (n / 20), 0)
      expect(chiSquaredSurvival(statistic, 19)).toBeGreaterThan(1e-4)
    }
  })

  it('is independent between two salts', () => {
    const n = budget(400_000)
    const counts = new Array<number>(25).fill(0)
    for (let i = 0; i < n; i++) {
      const cell = Math.floor(unitPlace('first', `user-${i}`) * 5) * 5 + Math.floor(unitPlace('second', `user-${i}`) * 5)
      counts[cell] = (counts[cell] as number) + 1
    }
    const statistic = counts.reduce((sum, count) => sum + (count - n / 25) ** 2 / (n / 25), 0)
    expect(chiSquaredSurvival(statistic, 24)).toBeGreaterThan(1e-4)
  })

  const shares = fc
    .array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 4 })
    .map((weights) => Object.fromEntries(weights.map((weight, i) => ['abcd'[i] as string, weight / 80])))
  const shareOf = (slices: readonly Slice[], variant: string): number =>
    slices.filter((slice) => slice.variant === variant).reduce((sum, { from, to }) => sum + to - from, 0)

  it('moves the least when shares change', () => {
    fc.assert(
      fc.property(fc.array(shares, { minLength: 2, maxLength: 5 }), (steps) => {
        let slices: Slice[] = []
        for (const step of steps) {
          const next = reslice(slices, step)
          for (const [variant, share] of Object.entries(step)) expect(shareOf(next, variant)).toBeCloseTo(share, 9)
          const edges = next.flatMap(({ from, to }) => [from, to])
          expect(edges).toEqual(edges.toSorted((a, b) => a - b))
          // a variant keeps what it had, up to its new share
          for (const variant of 'abcd') {
            const kept = Array.from({ length: 800 }, (_, i) => (i + 0.5) / 800).filter(
              (place) => variantAt(slices, place) === variant && variantAt(next, place) === variant,
            )
            expect(kept.length / 800).toBeCloseTo(Math.min(shareOf(slices, variant), step[variant] ?? 0), 2)
          }
          slices = next
        }
      }),
      { numRuns: budget(300) },
    )
  })

  it('keeps all units of a variant whose share grows', () => {
    const places = Array.from({ length: 1000 }, (_, i) => unitPlace('x', String(i)))
    let slices: Slice[] = []
    for (const share of [0.01, 0.05, 0.25, 0.5, 1]) {
      const next = reslice(slices, { candidate: share })
      expect(places.filter((place) => variantAt(slices, place) === 'candidate' && variantAt(next, place) === null)).toEqual([])
      slices = next
    }
    expect(slices).toEqual([{ from: 0, to: 1, variant: 'candidate' }])
  })

  it.each([
    [{ a: 0.6, b: 0.6 }, /add up to 1.2/],
    [{ a: -0.1 }, /"a" is -0.1/],
    [{ a: Number.NaN }, /"a" is NaN/],
  ])('refuses the shares %j', (wrong, message) => {
    expect(() => reslice([], wrong)).toThrow(message)
  })
})

describe('looking at every step', () => {
  const looks = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

  it('finds a difference of equal arms no more often than it says', () => {
    const repeats = budget(1200)
    const random = createRandom(21)
    let [sequential, fixed] = [0, 0]
    for (let r = 0; r < repeats; r++) {
      const arms = [
        { n: 0, sum: 0, squares: 0 },
        { n: 0, sum: 0, squares: 0 },
      ]
      let [found, naive] = [false, false]
      for (const look of looks(4000)) {
        const arm = arms[look % 2] as (typeof arms)[number]
        const value = -Math.log(1 - random.next()) // exponential: skewed
        arm.n++
        arm.sum += value
        arm.squares += value * value
        if (look < 200 || look % 4 !== 0) continue
        const [control, treatment] = arms.map(({ n, sum, squares }) => ({
          mean: sum / n,
          varianceOfMean: (squares - (sum * sum) / n) / (n - 1) / n,
        })) as [{ mean: number; varianceOfMean: number }, { mean: number; varianceOfMean: number }]
        const { value: estimate, standardError } = difference(control, treatment)
        const { low, high, p } = asymptoticSequence(estimate, standardError, look, { tightestAt: 2000 })
        const excluded = low > 0 || high < 0
        expect(excluded).toBe(p <= 0.05)
        found ||= excluded
        naive ||= Math.abs(estimate) > 1.96 * standardError
      }
      if (found) sequential++
      if (naive) fixed++
    }
    expect(sequential / repeats).toBeLessThan(0.05 + 2 * Math.sqrt(0.0475 / repeats))
    // the interval of a fixed horizon, looked at as often, is wrong far more often
    expect(fixed / repeats).toBeGreaterThan(0.2)
  })

  it('holds the true quantile, and narrows to it', () => {
    const random = createRandom(23)
    const repeats = budget(600)
    let missed = 0
    for (let r = 0; r < repeats; r++) {
      let atOrBelow = 0
      for (const n of looks(1500)) {
        if (random.next() <= 0.99) atOrBelow++
        if (n % 10 !== 0) continue
        // the true quantile has this rank: it is held where it lies between the order statistics
        const { low, high } = quantileRanks(n, 0.99)
        if (atOrBelow > low && atOrBelow <= high) continue
        missed++
        break
      }
    }
    expect(missed / repeats).toBeLessThan(0.05 + 2 * Math.sqrt(0.0475 / repeats))
    expect(quantileRanks(20, 0.99).high).toBe(20)
    const { low, high } = quantileRanks(100_000, 0.99)
    expect([low / 1000, high / 1000].map(Math.round)).toEqual([99, 99])
  })

  it('reports a mismatch of planned shares seldom, and a real one soon', () => {
    const random = createRandom(24)
    const least = (share: number): number => {
      let [a, n, least] = [0, 0, 1]
      while (n < 20_000) {
        n += 100
        for (let i = 0; i < 100; i++) if (random.next() < share) a++
        least = Math.min(least, sampleRatioP([a, n - a, 0], [0.5, 0.5, 0]))
      }
      return least
    }
    const repeats = budget(600)
    const alarms = Array.from({ length: repeats }, () => least(0.5)).filter((p) => p <= 0.01).length
    expect(alarms / repeats).toBeLessThan(0.01 + 2 * Math.sqrt(0.0099 / repeats))
    expect(least(0.54)).toBeLessThan(1e-6)
    expect(() => sampleRatioP([1, 1], [1, 0])).toThrow('Arm 1 has 1 units and no share.')
  })

  it('covariates remove the variance that they explain', () => {
    const random = createRandom(25)
    const arms = [0, 0.1].map((effect) => {
      const x = Array.from({ length: 4000 }, () => random.normal())
      return sumsOf(
        x.map((value) => 0.8 * value + 0.6 * random.normal() + effect),
        x.map((value) => [value, 3]), // the second is constant
      )
    })
    const { theta, arms: adjusted } = adjustForCovariates(arms)
    expect(theta[0]).toBeCloseTo(0.8, 1)
    expect(theta[1]).toBe(0)
    // a correlation of 0.8 leaves 1 - 0.64 of the variance
    for (const [i, { variance }] of adjusted.entries()) expect(variance / ((arms[i]?.squaresY ?? 0) / 3999)).toBeCloseTo(0.36, 1)
  })
})
