import { describe, expect, it } from 'vitest'
import { asymptoticLowerBound } from '../../statistics/confidence-sequence.ts'
import { addEntity, clusteredShares, createEntitySums } from '../../statistics/clustered-shares.ts'
import { binCount, binOf, numberBins } from '../../statistics/column-bins.ts'
import { chiSquaredSurvival, studentSurvival } from '../../statistics/distributions.ts'
import { driftTest } from '../../statistics/drift-test.ts'
import { relativeLift } from '../../statistics/lift.ts'
import { createRandom } from '../../statistics/random.ts'
import { sampleRatioP } from '../../statistics/sample-ratio.ts'
import { budget } from '../budget.ts'
import vectors from './vectors.json' with { type: 'json' }

const { defects } = vectors

// The answers of gbstats 0.8.0 are in vectors.json. `bandits.test.ts` has the defects of GrowthBook's bandits.
describe('where gbstats is wrong', () => {
  it('an arm without a share changes nothing in the test of sample ratios', () => {
    expect(defects.srm).toBeGreaterThan(2 * defects.srmOfTwo)
    expect(sampleRatioP([560, 500, 0], [0.5, 0.5, 0])).toBe(sampleRatioP([560, 500], [0.5, 0.5]))
  })

  it('a sample ratio that is looked at often alarms as seldom as stated', () => {
    const random = createRandom(61)
    const repeats = budget(3000)
    let [chiSquared, own] = [0, 0]
    for (let r = 0; r < repeats; r++) {
      let a = 0
      const alarms = { chiSquared: false, own: false }
      for (let n = 50; n <= 10_000; n += 50) {
        for (let i = 0; i < 50; i++) if (random.next() < 0.5) a++
        alarms.chiSquared ||= chiSquaredSurvival((2 * a - n) ** 2 / n, 1) < 0.01
        alarms.own ||= sampleRatioP([a, n - a], [1, 1]) <= 0.01
      }
      if (alarms.chiSquared) chiSquared++
      if (alarms.own) own++
    }
    expect(chiSquared / repeats).toBeGreaterThan(0.05)
    expect(own / repeats).toBeLessThan(0.01 + 2 * Math.sqrt(0.0099 / repeats))
  })

  it('a metric that grows has a positive lift, also where it is negative', () => {
    const arm = (mean: number) => ({ mean, varianceOfMean: 1 / 1000 })
    expect(defects.liftOfNegatives).toBeCloseTo(-0.1, 12)
    expect(relativeLift(arm(-2), arm(-1.8)).value).toBeCloseTo(0.1, 12)
  })

  it('the bound of a one-sided test lies beyond its estimate, and agrees with p', () => {
    const { value, p, high } = defects.lesser
    expect(high).toBeLessThan(value)
    const own = asymptoticLowerBound(-value, Math.abs(value) / 4.47, 2000)
    const upper = -own.low
    expect(upper).toBeGreaterThan(value)
    expect(upper < 0).toBe(own.p <= 0.05)
    expect(p).toBeLessThan(0.05)
  })

  it('a p-value far out is not 0', () => {
    const { p, t, degrees, right } = defects.far
    expect(p).toBe(0)
    expect((2 * studentSurvival(Math.abs(t), degrees)) / right).toBeCloseTo(1, 9)
  })
})

describe("where Evidently's defaults are wrong", () => {
  const shares = (values: readonly number[], bins: ReturnType<typeof numberBins>) => {
    const sums = createEntitySums(binCount(bins))
    for (const value of values) addEntity(sums, [binOf(bins, value)])
    return clusteredShares(sums)
  }

  it('a change of scale below a thousandth is found', () => {
    const random = createRandom(62)
    const draw = (deviation: number) => Array.from({ length: 2000 }, () => 1 + deviation * random.normal())
    const [baseline, window] = [draw(1e-5), draw(5e-5)]
    const bins = numberBins(Float64Array.from(baseline).sort())
    // Evidently divides Wasserstein's distance by a deviation of .001 at least: 3e-5 / .001 is below its threshold of
    // .1
    expect(driftTest(shares(baseline, bins), shares(window, bins)).p).toBeLessThan(1e-9)
  })

  it('bins are of the baseline alone, as many as are asked for', () => {
    const ascending = Array.from({ length: 1000 }, (_, i) => i)
    const bins = numberBins(Float64Array.from(ascending))
    const [inside, beyond] = [
      shares(ascending, bins),
      shares(
        ascending.map((value) => value + 5000),
        bins,
      ),
    ]
    // a window far away moves no edge: all of it is in the last bin
    expect(beyond.shares.filter((share) => share > 0)).toEqual([1])
    expect(inside.shares.filter((share) => share > 0).length).toBeGreaterThan(5)
  })
})
