import { describe, expect, it } from 'vitest'
import { growingLooks, lookOften, metricKinds } from '../../bench/rollout/simulate-looks.ts'
import { covariateReduction } from '../../bench/rollout/simulate-splits.ts'
import { requiredUnits, pooledSkewness } from '../../statistics/required-units.ts'
import { createRandom } from '../../statistics/random.ts'
import { budget } from '../budget.ts'

// `npm run bench -- rollout --only statistics` repeats these far more often, beside GrowthBook's engine
describe('1,000 looks at an experiment', () => {
  const repeats = budget(400)
  const base = { at: growingLooks(100, 8000, 1000), alpha: 0.05, tightestAt: 2000 }

  it.each(metricKinds.map((kind) => [kind.name, kind] as const))(
    'finds no difference of equal arms and holds a true one: %s',
    (_, kind) => {
      const random = createRandom(91)
      // a quantile looks at all its bins each time
      const times = kind.quantile === undefined ? repeats : Math.ceil(repeats / 10)
      const looks = kind.quantile === undefined ? base : { ...base, at: growingLooks(100, 4000, 100) }
      for (const share of [0.5, 0.1]) {
        let [found, missed] = [0, 0]
        for (let r = 0; r < times; r++) {
          if (lookOften(kind, random, { ...looks, share, effect: 0 }).foundAt !== null) found++
          if (r % 4 === 0 && lookOften(kind, random, { ...looks, share, effect: 0.02 }).missed) missed++
        }
        expect(found / times).toBeLessThan(0.05 + 3 * Math.sqrt(0.0475 / times))
        expect(missed / Math.ceil(times / 4)).toBeLessThan(0.05 + 3 * Math.sqrt(0.0475 / Math.ceil(times / 4)))
      }
    },
  )

  it('is refused below the units that a skewed metric needs', () => {
    expect(requiredUnits(0, 0.5)).toBe(200)
    expect(requiredUnits(0, 0.1)).toBe(1000)
    // equal arms cancel each other's skewness
    expect(requiredUnits(4, 0.5)).toBe(200)
    expect(requiredUnits(4, 0.1)).toBeGreaterThan(4000)
    expect(requiredUnits(Number.NaN, 0.5)).toBe(Number.POSITIVE_INFINITY)
    const random = createRandom(92)
    const arms = [1, 3].map((n) => {
      const values = Array.from({ length: n * 5000 }, () => -Math.log(1 - random.next()))
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      const power = (exponent: number) => values.reduce((sum, value) => sum + (value - mean) ** exponent, 0)
      return { n: values.length, squares: power(2), cubes: power(3) }
    })
    expect(pooledSkewness(arms)).toBeCloseTo(2, 0)
  })

  it('needs fewer units with covariates, as theory says', () => {
    for (const correlations of [[0.8], [0.5, 0.5]]) expect(covariateReduction(correlations, 3000)).toBeCloseTo(1, 1)
  })
})
