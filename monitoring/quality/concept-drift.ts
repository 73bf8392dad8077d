import { chiSquaredSurvival } from '../../statistics/distributions.ts'
import type { Estimate } from '../../statistics/interval.ts'
import { meanInterval } from '../../statistics/interval.ts'
import { fitCalibrator } from '../../statistics/performance-estimate.ts'
import { ascendingOrder } from '../../statistics/ascending-order.ts'

/** Labelled rows of one version. */
export interface LabelledScores {
  readonly scores: readonly number[]
  readonly labels: readonly boolean[]
  /** Epoch microseconds. */
  readonly times: readonly number[]
}

/** Whether a score still means what it meant, by the newest labels. */
export interface ConceptDrift {
  /** By the chi-squared test: how likely labels differ so much without a change. */
  readonly p: number
  /** The mean distance of the share of positives from what earlier labels let expect, by bin of the score. */
  readonly effect: number
  /** The accuracy that earlier labels let expect, and the accuracy that newer labels show. */
  readonly estimated: number
  readonly observed: number
  /** observed - estimated, with its 95 % interval. */
  readonly difference: Estimate
  readonly drifted: boolean
  /** The labelled rows that were compared with earlier ones. */
  readonly rows: number
}

/** Both are needed: a test alone alarms at any difference once rows are many. */
const [alarmP, alarmEffect] = [0.01, 0.02]
const newestShare = 0.25
const bins = 5
/** Fewer rows in a bin say nothing. */
const minBinRows = 20

/**
 * Learns from the older three quarters of the labels what a score means, and tests it on the newest quarter: in each
 * bin of the score the mean of label - expected share is 0 without concept drift. Bins of equal mass; the variance is
 * that of both parts, as the expectation has an error of its own. A shift of the features alone does not alarm, since
 * it changes how many rows a bin has, and not their labels. Takes rows for independent.
 *
 * @returns null where there are too few labels
 */
export function conceptDrift(labelled: LabelledScores, threshold: number): ConceptDrift | null {
  const order = ascendingOrder(labelled.times)
  const cut = Math.floor(order.length * (1 - newestShare))
  const [older, newer] = [partOf(labelled, order.subarray(0, cut)), partOf(labelled, order.subarray(cut))]
  if (newer.scores.length < bins * minBinRows || !older.labels.includes(true) || !older.labels.includes(false)) return null
  const calibrate = fitCalibrator(older.scores, older.labels)
  const expected = newer.scores.map(calibrate)
  const edges = edgesOf(newer.scores)
  const [before, after] = [createResiduals(edges), createResiduals(edges)]
  for (const [i, score] of older.scores.entries()) before.add(score, older.labels[i] === true, calibrate(score))
  for (const [i, score] of newer.scores.entries()) after.add(score, newer.labels[i] === true, expected[i] as number)
  let [statistic, degrees, effect] = [0, 0, 0]
  for (let bin = 0; bin <= edges.length; bin++) {
    const [old, fresh] = [before.of(bin), after.of(bin)]
    if (old.n < minBinRows || fresh.n < minBinRows) continue
    const difference = fresh.mean - old.mean
    const variance = fresh.variance / fresh.n + old.variance / old.n
    effect += (fresh.n / newer.scores.length) * Math.abs(difference)
    if (variance === 0) continue
    statistic += (difference * difference) / variance
    degrees++
  }
  if (degrees === 0) return null
  const p = chiSquaredSurvival(statistic, degrees)
  return { p, effect, drifted: p < alarmP && effect >= alarmEffect, rows: newer.scores.length, ...accuracyOf(newer, expected, threshold) }
}

function partOf({ scores, labels, times }: LabelledScores, indexes: Uint32Array): LabelledScores {
  const of = <T>(values: readonly T[]): T[] => Array.from(indexes, (i) => values[i] as T)
  return { scores: of(scores), labels: of(labels), times: of(times) }
}

/** The distinct edges of bins of equal mass. */
function edgesOf(scores: readonly number[]): number[] {
  const sorted = scores.toSorted((a, b) => a - b)
  const edges = Array.from({ length: bins - 1 }, (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / bins)] as number)
  return [...new Set(edges)]
}

/** By bin: how many rows, and mean and variance of label - expected share. */
function createResiduals(edges: readonly number[]) {
  const sums = Array.from({ length: edges.length + 1 }, () => ({ n: 0, sum: 0, squares: 0 }))
  return {
    add(score: number, label: boolean, expected: number): void {
      const found = edges.findIndex((edge) => score < edge)
      const bin = sums[found < 0 ? edges.length : found]
      if (bin === undefined) return
      const residual = (label ? 1 : 0) - expected
      bin.n++
      bin.sum += residual
      bin.squares += residual * residual
    },
    of(bin: number): { n: number; mean: number; variance: number } {
      const { n, sum, squares } = sums[bin] ?? { n: 0, sum: 0, squares: 0 }
      return { n, mean: sum / n, variance: squares / n }
    },
  }
}

function accuracyOf(
  { scores, labels }: LabelledScores,
  expected: readonly number[],
  threshold: number,
): Pick<ConceptDrift, 'estimated' | 'observed' | 'difference'> {
  const n = scores.length
  let [estimated, observed, squares] = [0, 0, 0]
  for (const [i, score] of scores.entries()) {
    const p = expected[i] as number
    const isPositive = score >= threshold
    const right = isPositive ? p : 1 - p
    const wasRight = isPositive === labels[i] ? 1 : 0
    estimated += right
    observed += wasRight
    squares += (wasRight - right) ** 2
  }
  const mean = (observed - estimated) / n
  const difference = meanInterval({ n, mean, variance: (squares - n * mean * mean) / (n - 1) })
  return { estimated: estimated / n, observed: observed / n, difference }
}
