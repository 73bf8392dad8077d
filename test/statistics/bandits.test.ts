import { describe, expect, it } from 'vitest'
import { type ArmPeriod, propensityWeightedMean } from '../../statistics/propensity-weighting.ts'
import { normalCdf } from '../../statistics/distributions.ts'
import { difference } from '../../statistics/lift.ts'
import { type Random, createRandom } from '../../statistics/random.ts'
import { type BanditArm, chancesToBeBest, nextWeights } from '../../statistics/thompson.ts'
import { budget } from '../budget.ts'

const arm = (mean: number, n = 1000, varianceOfMean = 1 / n) => ({ mean, n, varianceOfMean })

describe('Thompson sampling', () => {
  it('weighs an arm by its chance to be the best', () => {
    const [first, second] = chancesToBeBest([
      { mean: 1, deviation: 0.3 },
      { mean: 1.4, deviation: 0.4 },
    ])
    expect(second).toBeCloseTo(normalCdf(0.4 / 0.5), 9)
    expect(first).toBeCloseTo(1 - normalCdf(0.4 / 0.5), 9)
    // deviations that differ by orders of magnitude
    const [narrow] = chancesToBeBest([
      { mean: 0, deviation: 1e-6 },
      { mean: 0.5, deviation: 1 },
    ])
    expect(narrow).toBeCloseTo(normalCdf(-0.5), 6)
    const equal = chancesToBeBest(Array.from({ length: 5 }, () => ({ mean: 3, deviation: 2 })))
    for (const chance of equal) expect(chance).toBeCloseTo(0.2, 9)
  })

  it('agrees with draws from the posteriors', () => {
    const random = createRandom(51)
    const posteriors = [0, 0.3, 0.5, -1].map((mean, i) => ({ mean, deviation: 0.2 + 0.2 * i }))
    const wins = posteriors.map(() => 0)
    const draws = budget(200_000)
    for (let i = 0; i < draws; i++) {
      const values = posteriors.map(({ mean, deviation }) => mean + deviation * random.normal())
      const best = values.indexOf(Math.max(...values))
      wins[best] = (wins[best] as number) + 1
    }
    for (const [k, chance] of chancesToBeBest(posteriors).entries())
      expect(Math.abs((wins[k] as number) / draws - chance)).toBeLessThan(4 * Math.sqrt(0.25 / draws))
  })

  // GrowthBook's weights by the two best arms give the best arm nothing where lower is better, and fail with two arms
  it('prefers the lowest arm where lower is better, also among two', () => {
    for (const arms of [
      [arm(0.1), arm(0.2)],
      [arm(0.3), arm(0.05), arm(0.2)],
    ]) {
      const lower = nextWeights(arms, { floor: 0.01, better: 'lower' })
      const higher = nextWeights(
        arms.map((each) => ({ ...each, mean: -each.mean })),
        { floor: 0.01 },
      )
      expect(lower).toEqual(higher)
      const least = arms.findIndex(({ mean }) => mean === Math.min(...arms.map((each) => each.mean)))
      expect(lower?.[least]).toBe(Math.max(...(lower ?? [])))
    }
  })

  // GrowthBook raises small weights to the floor and then scales all, so that they are below it again
  it('gives each arm its floor, and all arms 1 together', () => {
    const weights = nextWeights([arm(0), arm(1), arm(0), arm(0)], { floor: 0.1 }) ?? []
    expect(Math.min(...weights)).toBeGreaterThanOrEqual(0.1)
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12)
    expect(weights[1]).toBeCloseTo(0.7, 6)
    expect(() => nextWeights([arm(0), arm(1)], { floor: 0.6 })).toThrow(RangeError)
  })

  it('changes nothing before each arm has enough units', () => {
    expect(nextWeights([arm(0), arm(1, 99)], { floor: 0 })).toBeNull()
    expect(nextWeights([arm(0), arm(1, 150)], { floor: 0, minUnits: 200 })).toBeNull()
    expect(nextWeights([arm(0, 1000, 0), arm(0, 1000, 0)], { floor: 0 })).toBeNull()
    // an arm without a single success is not certain to be the worst
    const [, unlucky] = nextWeights([arm(0.02, 100, 0.02 / 100), arm(0, 100, 0)], { floor: 0 }) ?? []
    expect(unlucky).toBeGreaterThan(0.01)
  })
})

/** A bandit of two equal arms: periods of 100 units, weights by what was seen so far. */
function runBandit(random: Random, means: readonly number[], periods: number) {
  let weights = means.map(() => 1 / means.length)
  const seen = means.map(() => ({ n: 0, sum: 0, squares: 0 }))
  const history: { readonly arms: ArmPeriod[]; readonly all: number }[] = []
  let regret = 0
  for (let period = 0; period < periods; period++) {
    const all = period === 0 ? 50 * means.length : 100
    const arms = means.map((_, k) => ({ propensity: weights[k] as number, n: 0, sum: 0, squares: 0 }))
    for (let i = 0; i < all; i++) {
      let [k, place] = [0, random.next()]
      while (k < means.length - 1 && place >= (weights[k] as number)) place -= weights[k++] as number
      const value = (means[k] as number) + random.normal()
      for (const sums of [arms[k], seen[k]]) {
        if (sums === undefined) continue
        sums.n++
        sums.sum += value
        sums.squares += value * value
      }
      regret += Math.max(...means) - (means[k] as number)
    }
    history.push({ arms, all })
    const estimates = seen.map(({ n, sum, squares }) => ({ n, mean: sum / n, varianceOfMean: (squares / n - (sum / n) ** 2) / n }))
    weights = nextWeights(estimates, { floor: 0.05, minUnits: 25 }) ?? weights
  }
  const estimates = (weighting: 'equal' | 'stabilized') =>
    means.map((_, k) => {
      const ofArm = history.map(({ arms, all }) => ({ arm: arms[k] as ArmPeriod, all }))
      return propensityWeightedMean(ofArm, weighting)
    })
  return { equal: estimates('equal'), stabilized: estimates('stabilized'), naive: seen.map(({ n, sum }) => sum / n), regret }
}

describe('the analysis of a bandit', () => {
  it('is unbiased and covers the truth where the plain mean is biased', () => {
    const random = createRandom(52)
    const repeats = budget(2500)
    const bias = { naive: 0, equal: 0, stabilized: 0 }
    const covered = { equal: 0, stabilized: 0 }
    for (let r = 0; r < repeats; r++) {
      const result = runBandit(random, [0, 0, 0], 10)
      bias.naive += (result.naive[0] as number) / repeats
      for (const weighting of ['equal', 'stabilized'] as const) {
        const [control, treatment] = result[weighting] as [BanditArm, BanditArm, BanditArm]
        bias[weighting] += control.mean / repeats
        const { value, standardError } = difference(control, treatment)
        if (Math.abs(value) <= 1.96 * standardError) covered[weighting]++
      }
    }
    // the true mean is 0; a mean deviates by about 0.08
    const noise = 0.08 / Math.sqrt(repeats)
    expect(bias.naive).toBeLessThan(-3 * noise)
    expect(Math.abs(bias.equal)).toBeLessThan(3 * noise)
    expect(Math.abs(bias.stabilized)).toBeLessThan(0.75 * Math.abs(bias.naive))
    for (const count of Object.values(covered)) expect(count / repeats).toBeGreaterThan(0.95 - 2.5 * Math.sqrt(0.0475 / repeats))
  })

  it('costs less than equal shares', () => {
    const random = createRandom(53)
    const regret = Array.from({ length: budget(200) }, () => runBandit(random, [0, 0.3], 30).regret)
    const mean = regret.reduce((sum, each) => sum + each, 0) / regret.length
    // equal shares of 3,100 units lose 0.15 on average
    expect(mean).toBeLessThan(0.3 * 0.15 * 3100)
  })

  it('is the plain mean where the shares never change', () => {
    const periods = [3, 5].map((sum) => ({ arm: { propensity: 0.5, n: 10, sum, squares: sum }, all: 20 }))
    expect(propensityWeightedMean(periods).mean).toBeCloseTo(8 / 20, 12)
  })
})
