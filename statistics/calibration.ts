import { ascendingOrder } from './ascending-order.ts'
import { type Estimate, criticalValue } from './interval.ts'
import { type ScoreGroups, groupByScore, isotonic } from './isotonic.ts'
import { type Random, createRandom } from './random.ts'

/** How far probabilities are from shares of positives, over bins of equal mass. */
export interface CalibrationError {
  /** The expected calibration error: the mean of |mean probability - share of positives| by bin. Biased upwards. */
  readonly expected: number
  /** The root of the mean squared difference without the bias of small bins; 0 where the estimate is below 0. */
  readonly root: Estimate
  readonly bins: number
}

const bootstraps = 200

/**
 * Source of the root without bias: Kumar, Liang and Ma, NeurIPS 2019, section 5. Its interval is that of the mean
 * square: by bin, the difference d is normal with the variance v of a mean, so d² varies by 2 v² + 4 v E(d)². A
 * bootstrap of either error would be wrong near 0, where resampling adds the bias once more.
 */
export function calibrationError(
  probabilities: readonly number[],
  labels: readonly boolean[],
  { bins = 15, alpha = 0.05 }: { readonly bins?: number; readonly alpha?: number } = {},
): CalibrationError {
  const n = probabilities.length
  const used = Math.max(1, Math.min(bins, Math.floor(n / 2)))
  const sums = Array.from({ length: used }, () => ({ rows: 0, positives: 0, probability: 0 }))
  for (const [rank, index] of ascendingOrder(probabilities).entries()) {
    const bin = sums[Math.floor((rank * used) / n)] as (typeof sums)[number]
    bin.rows++
    bin.probability += probabilities[index] as number
    if (labels[index] === true) bin.positives++
  }
  let [expected, squared, variance] = [0, 0, 0]
  for (const { rows, positives, probability } of sums) {
    const [weight, share] = [rows / n, positives / rows]
    const difference = probability / rows - share
    const ofMean = rows > 1 ? (share * (1 - share)) / (rows - 1) : 0
    const square = difference * difference - ofMean
    expected += weight * Math.abs(difference)
    squared += weight * square
    variance += weight * weight * ofMean * (2 * ofMean + 4 * Math.max(0, square))
  }
  const half = criticalValue(alpha) * Math.sqrt(variance)
  const root = (square: number): number => Math.sqrt(Math.max(0, square))
  return { expected, root: { value: root(squared), low: root(squared - half), high: root(squared + half), n }, bins: used }
}

export interface Reliability {
  /** The calibration curve: by distinct probability, the share of positives that isotonic regression finds. */
  readonly curve: readonly ReliabilityPoint[]
  /** Brier score = miscalibration - discrimination + uncertainty. */
  readonly brier: number
  readonly miscalibration: number
  readonly discrimination: number
  readonly uncertainty: number
}

export interface ReliabilityPoint {
  readonly probability: number
  readonly share: number
  readonly rows: number
  /** Where the curve of a calibrated model lies with probability `1 - alpha`, point by point. */
  readonly low: number
  readonly high: number
}

/**
 * The CORP reliability diagram: isotonic regression in place of bins, with a consistency band from 200 simulated sets
 * of labels under the given probabilities. Source: Dimitriadis, Gneiting and Jordan, PNAS 118 (2021).
 */
export function reliability(
  probabilities: readonly number[],
  labels: readonly boolean[],
  { alpha = 0.1 }: { readonly alpha?: number } = {},
): Reliability {
  const groups = groupByScore(probabilities, labels)
  const curve = isotonic(groups)
  const n = probabilities.length
  const base = groups.positives.reduce((sum, count) => sum + count, 0) / n
  const score = (forecast: (group: number) => number): number =>
    groups.rows.reduce((sum, rows, g) => {
      const positives = groups.positives[g] as number
      const f = forecast(g)
      return sum + positives * (1 - f) ** 2 + (rows - positives) * f * f
    }, 0) / n
  const [own, recalibrated, constant] = [score((g) => groups.scores[g] as number), score((g) => curve[g] as number), score(() => base)]
  const band = consistencyBand(groups, alpha, createRandom(n))
  return {
    curve: groups.scores.map((probability, g) => ({
      probability,
      share: curve[g] as number,
      rows: groups.rows[g] as number,
      low: band.low[g] as number,
      high: band.high[g] as number,
    })),
    brier: own,
    miscalibration: own - recalibrated,
    discrimination: constant - recalibrated,
    uncertainty: constant,
  }
}

function consistencyBand({ scores, rows }: ScoreGroups, alpha: number, random: Random): { low: number[]; high: number[] } {
  const simulated = Array.from({ length: bootstraps }, () =>
    isotonic({ rows, positives: rows.map((count, g) => binomial(count, scores[g] as number, random)) }),
  )
  const sorted = scores.map((_, g) => simulated.map((curve) => curve[g] as number).sort((a, b) => a - b))
  return { low: sorted.map((values) => quantile(values, alpha / 2)), high: sorted.map((values) => quantile(values, 1 - alpha / 2)) }
}

/** The number of successes in `n` draws. By the normal approximation where both kinds number 100 or more. */
function binomial(n: number, p: number, random: Random): number {
  if (n * Math.min(p, 1 - p) >= 100) return Math.min(n, Math.max(0, Math.round(n * p + random.normal() * Math.sqrt(n * p * (1 - p)))))
  let successes = 0
  for (let i = 0; i < n; i++) if (random.next() < p) successes++
  return successes
}

/** Linear between the order statistics (Hyndman and Fan, type 7). */
export function quantile(sorted: readonly number[], p: number): number {
  const at = (sorted.length - 1) * p
  const below = Math.floor(at)
  const low = sorted[below] as number
  return low + (at - below) * ((sorted[Math.min(below + 1, sorted.length - 1)] as number) - low)
}
