import { describe, expect, it } from 'vitest'
import { compareMeans } from '../../monitoring/experiments/compare-arms.ts'
import { createClassifierTally } from '../../monitoring/quality/classifier-tally.ts'
import { createNumberTally } from '../../monitoring/quality/other-tallies.ts'
import { auc } from '../../statistics/auc.ts'
import { betaI } from '../../statistics/beta.ts'
import { reliability } from '../../statistics/calibration.ts'
import { addEntity, clusteredShares, createEntitySums } from '../../statistics/clustered-shares.ts'
import {
  chiSquaredSurvival,
  fSurvival,
  normalCdf,
  normalQuantile,
  normalSurvival,
  studentQuantile,
  studentSurvival,
} from '../../statistics/distributions.ts'
import { driftDistances, wasserstein } from '../../statistics/drift-distances.ts'
import { driftTest } from '../../statistics/drift-test.ts'
import { gammaP, gammaQ, logBeta, logGamma } from '../../statistics/gamma.ts'
import { meanInterval, wilson } from '../../statistics/interval.ts'
import { benjaminiHochberg, holm } from '../../statistics/multiple-tests.ts'
import { expectClose, expectCloseRelative } from './expect-close.ts'
import vectors from './vectors.json' with { type: 'json' }

/** The bin of each row, where there are so many rows by bin. */
function rowsOf(counts: readonly number[]): number[] {
  return counts.flatMap((count, bin) => new Array<number>(count).fill(bin))
}

function sharesOf(bins: number, entities: readonly (readonly number[])[]) {
  const sums = createEntitySums(bins)
  for (const rows of entities) addEntity(sums, rows)
  return clusteredShares(sums)
}

describe('statistics agree with scipy, statsmodels and scikit-learn to 1e-9', () => {
  const functions: Readonly<Record<keyof typeof vectors.functions, (...args: readonly number[]) => number>> = {
    logGamma: (x = 0) => logGamma(x),
    logBeta: (a = 0, b = 0) => logBeta(a, b),
    gammaP: (a = 0, x = 0) => gammaP(a, x),
    gammaQ: (a = 0, x = 0) => gammaQ(a, x),
    betaI: (x = 0, a = 0, b = 0) => betaI(x, a, b),
    normalCdf: (z = 0) => normalCdf(z),
    normalQuantile: (p = 0) => normalQuantile(p),
    studentSurvival: (t = 0, degrees = 0) => studentSurvival(t, degrees),
    studentQuantile: (p = 0, degrees = 0) => studentQuantile(p, degrees),
    chiSquaredSurvival: (x = 0, degrees = 0) => chiSquaredSurvival(x, degrees),
    fSurvival: (x = 0, a = 0, b = 0) => fSurvival(x, a, b),
  }

  it.each(Object.entries(functions))('%s', (name, own) => {
    const expectNear = name.startsWith('log') ? expectClose : expectCloseRelative // logarithms have zeros
    for (const vector of vectors.functions[name as keyof typeof functions]) {
      const args = vector.slice(0, -1)
      expectNear(own(...args), vector.at(-1) as number, `${name}(${args.join(', ')})`)
    }
  })

  it('the survival functions are exact where the cumulative ones are 1', () => {
    expectCloseRelative(normalSurvival(10), 7.619853024160527e-24, 'Q(10)')
  })

  it('intervals of proportions and means', () => {
    for (const [successes = 0, n = 0, low = 0, high = 0] of vectors.intervals.wilson) {
      const interval = wilson(successes, n)
      expectClose(interval.low, low, `wilson ${successes}/${n} low`)
      expectClose(interval.high, high, `wilson ${successes}/${n} high`)
    }
    const analysis = { method: 'fixed', alpha: 0.05, correction: 'none', units: null, prior: null } as const
    for (const { first, second, low, high } of vectors.intervals.welch) {
      const found = compareMeans(first, second, { better: 'higher', margin: null }, { analysis, alpha: 0.05, tightestAt: undefined })
      expectClose(found.difference?.low ?? Number.NaN, low, 'welch low')
      expectClose(found.difference?.high ?? Number.NaN, high, 'welch high')
    }
    for (const { n, mean, variance, low, high } of vectors.intervals.mean) {
      const interval = meanInterval({ n, mean, variance }, 0.1)
      expectClose(interval.low, low, 'mean low')
      expectClose(interval.high, high, 'mean high')
    }
  })

  it('adjusted p-values', () => {
    for (const { p, holm: holms, bh } of vectors.multiple) {
      for (const [i, value] of holm(p).entries()) expectClose(value, holms[i] as number, `holm ${i}`)
      for (const [i, value] of benjaminiHochberg(p).entries()) expectClose(value, bh[i] as number, `bh ${i}`)
    }
  })

  it('drift distances', () => {
    for (const { baseline, window, ...expected } of vectors.distances.bins) {
      for (const [name, value] of Object.entries(driftDistances(baseline, window))) {
        expectClose(value, expected[name as keyof typeof expected], name)
      }
    }
    for (const { baseline, window, distance } of vectors.distances.wasserstein) {
      expectClose(wasserstein(baseline, window), distance, 'wasserstein')
    }
  })

  it('the drift test, and its covariance by entity', () => {
    const { entities, shares, covariance } = vectors.clustered
    const own = sharesOf(3, entities.map(rowsOf))
    for (const [i, value] of own.shares.entries()) expectClose(value, shares[i] as number, `share ${i}`)
    for (const [i, value] of own.covariance.entries()) expectClose(value, covariance[i] as number, `covariance ${i}`)
    const single = (counts: readonly number[]) =>
      sharesOf(
        counts.length,
        rowsOf(counts).map((bin) => [bin]),
      )
    for (const { baseline, window, statistic, degrees, p, pearson } of vectors.independentDrift) {
      const test = driftTest(single(baseline), single(window))
      expectClose(test.statistic, statistic, 'statistic')
      expectClose(test.degrees, degrees, 'degrees')
      expectClose(test.p ?? Number.NaN, p, 'p')
      // Pearson's own p, as rows are independent here
      expect(Math.abs((test.p ?? 0) - pearson)).toBeLessThan(0.02)
    }
  })

  it('quality of classifiers and regressions', async () => {
    for (const { scores, labels, threshold, curve, ...expected } of vectors.quality.classification) {
      const area = auc(scores, labels)
      const tally = createClassifierTally({ threshold, decides: false, limit: 1000 })
      for (const [entity, score] of scores.entries()) tally.add({ entity, score, outcome: Number(labels[entity]) })
      const { figures } = await tally.finish(0)
      const figure = (name: string) => figures[name]?.value ?? Number.NaN
      const diagram = reliability(scores, labels)
      const own = {
        auc: area.value,
        aucError: area.standardError,
        logLoss: figure('logLoss'),
        brier: figure('brier'),
        accuracy: figure('accuracy'),
        precision: figure('precision'),
        recall: figure('recall'),
        miscalibration: diagram.miscalibration,
        discrimination: diagram.discrimination,
      }
      for (const [name, value] of Object.entries(own)) expectClose(value, expected[name as keyof typeof own], name)
      for (const [i, { share }] of diagram.curve.entries()) expectClose(share, curve[i] as number, `curve ${i}`)
    }
    const { predictions, targets, meanAbsolute, rootMeanSquared } = vectors.quality.regression
    const tally = createNumberTally(false)
    for (const [entity, score] of predictions.entries()) tally.add({ entity, score, outcome: targets[entity] as number })
    const { figures } = await tally.finish(0)
    expectClose(figures['mae']?.value ?? Number.NaN, meanAbsolute, 'mean absolute error')
    expectClose(figures['rmse']?.value ?? Number.NaN, rootMeanSquared, 'root mean squared error')
  })
})
