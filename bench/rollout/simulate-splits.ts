import { unitPlace } from '../../statistics/assign.ts'
import { createUnitSummer, linearized } from '../../monitoring/experiments/unit-sums.ts'
import { adjustForCovariates } from '../../statistics/covariate-adjustment.ts'
import { asymptoticSequence } from '../../statistics/confidence-sequence.ts'
import { chiSquaredSurvival } from '../../statistics/distributions.ts'
import { difference } from '../../statistics/lift.ts'
import { type ArmPeriod, propensityWeightedMean } from '../../statistics/propensity-weighting.ts'
import { type Random, createRandom } from '../../statistics/random.ts'
import { sampleRatioP } from '../../statistics/sample-ratio.ts'
import { type BanditArm, nextWeights } from '../../statistics/thompson.ts'

/** How often 1,000 looks at a sample ratio report a mismatch that is none, at .01: ours, and chi-squared tests. */
export function sampleRatioAlarms(shares: readonly number[], repeats: number): { own: number; chiSquared: number } {
  const random = createRandom(71 + shares.length)
  let [own, chiSquared] = [0, 0]
  for (let r = 0; r < repeats; r++) {
    const counts = shares.map(() => 0)
    const found = { own: false, chiSquared: false }
    for (let n = 1; n <= 20_000; n++) {
      const arm = armOf(random, shares)
      counts[arm] = (counts[arm] as number) + 1
      if (n % 20 > 0) continue
      found.own ||= sampleRatioP(counts, shares) <= 0.01
      const statistic = counts.reduce((sum, count, k) => sum + (count - n * (shares[k] as number)) ** 2 / (n * (shares[k] as number)), 0)
      found.chiSquared ||= chiSquaredSurvival(statistic, shares.length - 1) <= 0.01
    }
    if (found.own) own++
    if (found.chiSquared) chiSquared++
  }
  return { own: own / repeats, chiSquared: chiSquared / repeats }
}

/**
 * Chi-squared tests of the places of units: even for each salt, and independent between the first salt and each other
 * one. By salt a p-value, times the number of salts.
 */
export function assignmentTests(units: number, salts: readonly string[]): { even: number; independent: number } {
  const names = Array.from({ length: units }, (_, i) => `user-${i}`)
  const first = names.map((name) => Math.floor(unitPlace(salts[0] ?? '', name) * 10))
  const p = (counts: readonly number[]): number => {
    const expected = units / counts.length
    const statistic = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    return chiSquaredSurvival(statistic, counts.length - 1)
  }
  const found = salts.map((salt, k) => {
    const [cells, bins] = [new Array<number>(100).fill(0), new Array<number>(100).fill(0)]
    for (const [i, name] of names.entries()) {
      const place = unitPlace(salt, name)
      const bin = Math.floor(place * 100)
      const cell = (first[i] as number) * 10 + Math.floor(place * 10)
      bins[bin] = (bins[bin] as number) + 1
      cells[cell] = (cells[cell] as number) + 1
    }
    return { even: p(bins), independent: k === 0 ? 1 : p(cells) }
  })
  const least = (of: 'even' | 'independent') => Math.min(1, salts.length * Math.min(...found.map((each) => each[of])))
  return { even: least('even'), independent: least('independent') }
}

/** The share of variance that covariates leave, over what theory says: 1 - R². */
export function covariateReduction(correlations: readonly number[], units: number): number {
  const random = createRandom(72)
  const explained = correlations.reduce((sum, each) => sum + each * each, 0)
  const arms = [0, 0.2].map((effect) => {
    const covariates = Array.from({ length: units }, () => correlations.map(() => random.normal()))
    const y = covariates.map((row) => {
      const known = row.reduce((sum, value, k) => sum + value * (correlations[k] as number), 0)
      return known + Math.sqrt(1 - explained) * random.normal() + effect
    })
    const summer = createUnitSummer(2 + correlations.length)
    for (const [i, value] of y.entries()) summer.add([value, 1, ...(covariates[i] ?? [])])
    return linearized(summer.sums(), false).sums
  })
  const before = arms.reduce((sum, { squaresY, n }) => sum + squaresY / (n - 1), 0)
  const after = adjustForCovariates(arms).arms.reduce((sum, { variance }) => sum + variance, 0)
  return after / before / (1 - explained)
}

export interface BanditRun {
  readonly estimates: readonly BanditArm[]
  readonly naive: readonly number[]
  /** Σ of what was lost to the best arm, by unit. */
  readonly regret: number
  /** Whether the sequence of the difference of the first two arms missed the truth at a look. */
  readonly missed: boolean
}

/** A bandit over normal units: weights change after each period, and each period ends with a look. */
export function runBandit(random: Random, means: readonly number[], periods: number, perPeriod: number, floor = 0.05): BanditRun {
  let weights = means.map(() => 1 / means.length)
  const seen = means.map(() => ({ n: 0, sum: 0, squares: 0 }))
  const history: { readonly arms: ArmPeriod[]; readonly all: number }[] = []
  let regret = 0
  let missed = false
  let estimates: BanditArm[] = []
  const truth = (means[1] as number) - (means[0] as number)
  for (let period = 0, n = 0; period < periods; period++) {
    const arms = means.map((_, k) => ({ propensity: weights[k] as number, n: 0, sum: 0, squares: 0 }))
    for (let i = 0; i < perPeriod; i++) {
      const k = armOf(random, weights)
      const value = (means[k] as number) + random.normal()
      for (const sums of [arms[k], seen[k]]) {
        if (sums === undefined) continue
        sums.n++
        sums.sum += value
        sums.squares += value * value
      }
      regret += Math.max(...means) - (means[k] as number)
    }
    n += perPeriod
    history.push({ arms, all: perPeriod })
    estimates = means.map((_, k) => propensityWeightedMean(history.map((each) => ({ arm: each.arms[k] as ArmPeriod, all: each.all }))))
    weights = nextWeights(estimates, { floor }) ?? weights
    const { value, standardError } = difference(estimates[0] as BanditArm, estimates[1] as BanditArm)
    const { low, high } = asymptoticSequence(value, standardError, n, { tightestAt: periods * perPeriod })
    if (seen.every((arm) => arm.n >= 100) && (low > truth || high < truth)) missed = true
  }
  return { estimates, naive: seen.map(({ n, sum }) => sum / n), regret, missed }
}

function armOf(random: Random, shares: readonly number[]): number {
  let [arm, place] = [0, random.next()]
  while (arm < shares.length - 1 && place >= (shares[arm] as number)) place -= shares[arm++] as number
  return arm
}
