import { describe, expect, it } from 'vitest'
import { auc } from '../../statistics/auc.ts'
import { calibrationError, reliability } from '../../statistics/calibration.ts'
import { addEntity, clusteredShares, createEntitySums } from '../../statistics/clustered-shares.ts'
import { driftDistances } from '../../statistics/drift-distances.ts'
import { driftTest } from '../../statistics/drift-test.ts'
import { asymptoticSequence } from '../../statistics/confidence-sequence.ts'
import { eBenjaminiHochberg, holm } from '../../statistics/multiple-tests.ts'
import { estimatePerformance, fitCalibrator } from '../../statistics/performance-estimate.ts'
import { wilson } from '../../statistics/interval.ts'
import { clusteredMean, clusteredShare } from '../../statistics/quality-scores.ts'
import { type Random, createRandom } from '../../statistics/random.ts'
import { budget } from '../budget.ts'

const edges = [-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816]

/** Rows whose entity explains `shared` of their deviation, in ten bins of equal mass, `perEntity` rows each. */
function drawShares(random: Random, rows: number, perEntity: () => number, shared: number, shift = 0) {
  const sums = createEntitySums(10)
  for (let left = rows; left > 0;) {
    const size = Math.min(left, perEntity())
    const own = random.normal()
    const values = Array.from({ length: size }, () => shared * own + Math.sqrt(1 - shared * shared) * random.normal() + shift)
    addEntity(
      sums,
      values.map((value) => edges.filter((edge) => value > edge).length),
    )
    left -= size
  }
  return clusteredShares(sums)
}

function expit(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

describe('the drift test', () => {
  const repeats = budget(6000)
  it.each([
    { n: 200, m: 200, mean: 1, shared: 0 },
    { n: 2000, m: 500, mean: 1, shared: 0 },
    { n: 2000, m: 1000, mean: 3, shared: 0.8 },
    { n: 3000, m: 2000, mean: 10, shared: 0.9 },
  ])('alarms falsely as often as it says, with $n and $m rows, $mean an entity', ({ n, m, mean, shared }) => {
    const random = createRandom(n + mean)
    const geometric = (): number => (mean === 1 ? 1 : 1 + Math.floor(Math.log(1 - random.next()) / Math.log(1 - 1 / mean)))
    let [alarms, tests] = [0, 0]
    for (let i = 0; i < repeats; i++) {
      const { p } = driftTest(drawShares(random, n, geometric, shared), drawShares(random, m, geometric, shared))
      if (p === null) continue
      tests++
      if (p < 0.05) alarms++
    }
    // 20 %, and twice the standard error of the simulation itself
    const allowed = 0.2 + 2 * Math.sqrt(0.95 / 0.05 / tests)
    expect(tests).toBeGreaterThan(repeats / 2)
    expect(Math.abs(alarms / tests / 0.05 - 1)).toBeLessThan(allowed)
  })

  it('alarms on most windows if it takes dependent rows for independent', () => {
    const random = createRandom(5)
    let plain = 0
    for (let i = 0; i < 200; i++) {
      const [baseline, window] = [drawShares(random, 2000, () => 10, 0.9), drawShares(random, 2000, () => 10, 0.9)]
      const independent = (shares: typeof window) => ({
        ...shares,
        effectiveEntities: shares.rows,
        covariance: shares.covariance.map((_, i) => {
          const [a, b] = [shares.shares[Math.floor(i / 10)] as number, shares.shares[i % 10] as number]
          return ((i % 11 === 0 ? a : 0) - a * b) / shares.rows
        }),
      })
      if ((driftTest(independent(baseline), independent(window)).p ?? 1) < 0.05) plain++
    }
    expect(plain).toBeGreaterThan(100)
  })

  it('finds a shift of half a standard deviation', () => {
    const random = createRandom(3)
    const one = (): number => 1
    const test = driftTest(drawShares(random, 2000, one, 0), drawShares(random, 500, one, 0, 0.5))
    expect(test.p).toBeLessThan(1e-9)
  })

  it('gives no p-value for too few entities, and says why', () => {
    const random = createRandom(4)
    const test = driftTest(
      drawShares(random, 1000, () => 1, 0),
      drawShares(random, 400, () => 20, 0),
    )
    expect(test).toMatchObject({ p: null, reason: 'The window has the weight of 20 entities; a test needs 30' })
  })

  it('has the expected PSI of Yurdakul and Naranjo where rows are independent', () => {
    const random = createRandom(6)
    const draws = Array.from({ length: 300 }, () => {
      const [baseline, window] = [drawShares(random, 1000, () => 1, 0), drawShares(random, 1000, () => 1, 0)]
      return { psi: driftDistances(baseline.shares, window.shares).psi, expected: driftTest(baseline, window).expectedPsi }
    })
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(mean(draws.map(({ expected }) => expected))).toBeCloseTo(9 * (2 / 1000), 3)
    expect(mean(draws.map(({ psi }) => psi)) / 0.018).toBeCloseTo(1, 0)
  })
})

describe('quality without labels', () => {
  it('is within 2 points of the truth under covariate shift', () => {
    const random = createRandom(11)
    // the model is overconfident, so that its scores need calibration
    const draw = (n: number, shift: number) =>
      Array.from({ length: n }, () => {
        const x = random.normal() + shift
        return { score: expit(2.2 * x), label: random.next() < expit(1.4 * x) }
      })
    const reference = draw(20_000, 0)
    const calibrate = fitCalibrator(
      reference.map(({ score }) => score),
      reference.map(({ label }) => label),
    )
    for (const shift of [-0.8, 0, 0.7, 1.2]) {
      const window = draw(20_000, shift)
      const scores = window.map(({ score }) => score)
      const estimate = estimatePerformance(scores, scores.map(calibrate), 0.5)
      const right = window.filter(({ score, label }) => score >= 0.5 === label).length / window.length
      const labels = window.map(({ label }) => label)
      expect(Math.abs(estimate.accuracy - right), `accuracy at ${shift}`).toBeLessThan(0.02)
      expect(Math.abs(estimate.auc - auc(scores, labels).value), `AUC at ${shift}`).toBeLessThan(0.02)
    }
  })
})

describe('intervals', () => {
  it('of the AUC and of the calibration error cover what they should', () => {
    const random = createRandom(12)
    let [covered, debiased, perfect] = [0, 0, 0]
    const repeats = 150
    // P(score of a positive > score of a negative) for the logistic model, by a large draw
    const draw = (n: number) =>
      Array.from({ length: n }, () => {
        const p = expit(random.normal())
        return { p, label: random.next() < p }
      })
    const large = draw(200_000)
    const truth = auc(
      large.map(({ p }) => p),
      large.map(({ label }) => label),
    ).value
    for (let i = 0; i < repeats; i++) {
      const rows = draw(300)
      const [scores, labels] = [rows.map(({ p }) => p), rows.map(({ label }) => label)]
      const { low, high } = auc(scores, labels)
      if (low <= truth && truth <= high) covered++
      const { root } = calibrationError(scores, labels)
      if (root.value < 0.05) debiased++
      if (root.low === 0) perfect++
    }
    expect(covered / repeats).toBeGreaterThan(0.9)
    // calibrated scores: the plain error would be about 0.09 at 300 rows and 15 bins
    expect(debiased / repeats).toBeGreaterThan(0.6)
    expect(perfect / repeats).toBeGreaterThan(0.95)
  })

  it('of the calibration error cover 0 where rows of an entity share their outcome, and none is positive', () => {
    const random = createRandom(16)
    const runs = 100
    let [clustered, byRow, rare] = [0, 0, 0]
    for (let run = 0; run < runs; run++) {
      const rows = Array.from({ length: 60 }, (_, entity) => {
        const score = random.next()
        const label = random.next() < score
        return Array.from({ length: 15 }, () => ({ entity, score: score + 1e-6 * random.next(), label }))
      }).flat()
      const [scores, labels, entities] = [rows.map(({ score }) => score), rows.map(({ label }) => label), rows.map(({ entity }) => entity)]
      if (calibrationError(scores, labels, { entities, bins: 5 }).root.low === 0) clustered++
      if (calibrationError(scores, labels, { bins: 5 }).root.low === 0) byRow++
      // the first entity alone has rows of the least score
      const least = calibrationError(
        [...Array.from({ length: 200 }, () => 0), ...scores],
        [...Array.from({ length: 200 }, () => false), ...labels],
        {
          entities: [...Array.from({ length: 200 }, () => 99), ...entities],
        },
      )
      expect(least.bins).toBeLessThan(15)
      expect(least.root.low).toBeGreaterThanOrEqual(0)
      const none = Array.from({ length: 300 }, () => 0.002 * random.next())
      if (
        calibrationError(
          none,
          none.map(() => false),
        ).root.low === 0
      )
        rare++
    }
    expect(clustered / runs).toBeGreaterThan(0.93)
    expect(byRow / runs).toBeLessThan(0.2)
    expect(rare / runs).toBe(1)
  })

  it.each([
    ['a few of them', 5, () => 20],
    ['one of which has nearly all rows', 200, (entity: number) => (entity === 0 ? 10_000 : 3)],
  ])('of a mean over entities cover it with %s', (_, count, rowsOf) => {
    const random = createRandom(15)
    const runs = 400
    let [covered, share] = [0, 0]
    for (let run = 0; run < runs; run++) {
      const drawn = Array.from({ length: count }, (_unused, entity) => {
        const rows = rowsOf(entity)
        return { rows, sum: rows * random.normal(), hits: random.next() < 0.3 ? rows : 0 }
      })
      const mean = clusteredMean(drawn)
      if (mean.low <= 0 && 0 <= mean.high) covered++
      const hits = clusteredShare(drawn.map(({ rows, hits: sum }) => ({ rows, sum })))
      if (hits.low <= 0.3 && 0.3 <= hits.high) share++
    }
    expect(covered / runs).toBeGreaterThan(0.92)
    expect(share / runs).toBeGreaterThan(0.92)
  })

  it('of a mean over entities have no limits where one has all rows, and of a share those of one row', () => {
    for (let rows = 2; rows < 60; rows++) {
      const entities = [
        { sum: 1, rows },
        { sum: 0, rows: 0 },
      ]
      expect(clusteredMean(entities)).toMatchObject({ low: Number.NaN, high: Number.NaN })
      const { low, high } = wilson(1 / rows, 1)
      expect(clusteredShare(entities)).toMatchObject({ low, high })
    }
  })

  it('of a mean over entities cover it where rows repeat', () => {
    const random = createRandom(13)
    let covered = 0
    for (let i = 0; i < 400; i++) {
      const entities = Array.from({ length: 100 }, () => {
        const own = random.normal()
        const rows = 1 + random.below(8)
        return { rows, sum: Array.from({ length: rows }, () => own + 0.3 * random.normal()).reduce((a, b) => a + b, 0) }
      })
      const { low, high } = clusteredMean(entities)
      if (low <= 0 && 0 <= high) covered++
    }
    expect(covered / 400).toBeGreaterThan(0.9)
    expect(covered / 400).toBeLessThan(0.98)
  })

  it('the consistency band of a calibrated model holds most of its curve', () => {
    const random = createRandom(14)
    const scores = Array.from({ length: 1000 }, () => Math.round(random.next() * 50) / 50)
    const { curve, miscalibration, discrimination, uncertainty, brier } = reliability(
      scores,
      scores.map((p) => random.next() < p),
    )
    expect(curve.filter(({ low, share, high }) => low <= share && share <= high).length / curve.length).toBeGreaterThan(0.8)
    expect(brier).toBeCloseTo(miscalibration - discrimination + uncertainty, 12)
  })
})

describe('many tests', () => {
  it('e-BH holds its share of false findings at the first look that finds any, and finds more than Holm', () => {
    const random = createRandom(31)
    const effects = [0.09, 0.09, 0.09, 0, 0, 0]
    const times = 400
    const found = { ebh: { false: 0, true: 0 }, holm: { true: 0 } }
    for (let r = 0; r < times; r++) {
      const sums = effects.map(() => 0)
      const least = effects.map(() => 1)
      let stopped = false
      for (let n = 100; n <= 4000; n += 100) {
        // metrics of the same units depend on each other
        const shared = random.normal()
        const looks = effects.map((effect, i) => {
          sums[i] = (sums[i] as number) + 100 * effect + 10 * (shared * Math.SQRT1_2 + random.normal() * Math.SQRT1_2)
          return asymptoticSequence(sums[i] / n, 1 / Math.sqrt(n), n, { alpha: 0.1, tightestAt: 2000 })
        })
        for (const [i, { p }] of looks.entries()) least[i] = Math.min(least[i] as number, p)
        const rejected = eBenjaminiHochberg(looks.map(({ e }) => e)).map((level) => level <= 0.1)
        const all = rejected.filter(Boolean).length
        if (!stopped && all > 0) {
          stopped = true
          found.ebh.false += rejected.filter((is, i) => is && effects[i] === 0).length / all
        }
        if (n === 2000) {
          found.ebh.true += rejected.filter((is, i) => is && effects[i] !== 0).length
          found.holm.true += holm(least).filter((p, i) => p <= 0.1 && effects[i] !== 0).length
        }
      }
    }
    expect(found.ebh.false / times).toBeLessThan(0.1)
    expect(found.ebh.true).toBeGreaterThan(found.holm.true)
  })

  it('Holm of p-values that hold at every look finds a false one at any look at most as often as stated', () => {
    const random = createRandom(32)
    const times = 300
    let wrong = 0
    for (let r = 0; r < times; r++) {
      const sums = [0, 0, 0, 0]
      const least = [1, 1, 1, 1]
      let found = false
      for (let n = 100; n <= 4000; n += 100) {
        for (const i of sums.keys()) {
          sums[i] = (sums[i] as number) + (i === 0 ? 20 : 0) + 10 * random.normal()
          const { p } = asymptoticSequence(sums[i] / n, 1 / Math.sqrt(n), n, { alpha: 0.1, tightestAt: 2000 })
          least[i] = Math.min(least[i] as number, p)
        }
        found ||= holm(least).some((p, i) => i > 0 && p <= 0.1)
      }
      if (found) wrong++
    }
    expect(wrong / times).toBeLessThan(0.1)
  })

  it('e-BH rejects what is large enough for its rank', () => {
    const rejected = (eValues: readonly number[]) => eBenjaminiHochberg(eValues).map((level) => level <= 0.05)
    expect(rejected([70, 1, 35, 0])).toEqual([false, false, false, false])
    expect(rejected([100, 1, 45, 0])).toEqual([true, false, true, false])
    expect(eBenjaminiHochberg([80, 1, 50, 0])).toEqual([0.04, 1, 0.04, 1])
  })
})
