import { criticalValue, type Estimate } from './interval.ts'

/**
 * The area under the ROC curve with DeLong's interval, made on the logit scale so that it stays within 0 and 1. Ties
 * count half. Needs both labels; the interval is NaN with fewer than two of either. O(n log n). Source: DeLong, DeLong
 * and Clarke-Pearson, Biometrics 44 (1988); Sun and Xu, IEEE Signal Processing Letters 21 (2014), for the ranks.
 */
export function auc(
  scores: ArrayLike<number>,
  labels: ArrayLike<boolean | number>,
  alpha = 0.05,
): Estimate & { readonly standardError: number } {
  const n = scores.length
  const [positives, negatives] = byLabel(scores, labels)
  const [m, k] = [positives.length, negatives.length]
  if (m === 0 || k === 0) return { value: Number.NaN, low: 0, high: 1, n, standardError: Number.NaN }
  // the share of the other label that each score beats
  const ofPositives = sharesBelow(positives, negatives)
  const ofNegatives = sharesBelow(negatives, positives)
  const value = ofPositives.reduce((sum, share) => sum + share, 0) / m
  const standardError = Math.sqrt(variance(ofPositives) / m + variance(ofNegatives) / k)
  const logit = Math.log(value / (1 - value))
  const half = (criticalValue(alpha) * standardError) / (value * (1 - value))
  // a perfect ranking has no logit: its variance is 0, and its interval a point
  const limits = value > 0 && value < 1 ? [expit(logit - half), expit(logit + half)] : [value, value]
  return { value, low: limits[0] ?? value, high: limits[1] ?? value, n, standardError }
}

/** The scores of the positive and of the negative rows, each ascending. */
function byLabel(scores: ArrayLike<number>, labels: ArrayLike<boolean | number>): [Float64Array, Float64Array] {
  const n = scores.length
  let m = 0
  for (let i = 0; i < n; i++) if (isPositive(labels[i])) m++
  const [positives, negatives] = [new Float64Array(m), new Float64Array(n - m)]
  let [p, q] = [0, 0]
  for (let i = 0; i < n; i++) {
    if (isPositive(labels[i])) positives[p++] = scores[i] as number
    else negatives[q++] = scores[i] as number
  }
  return [positives.sort(), negatives.sort()]
}

function isPositive(label: boolean | number | undefined): boolean {
  return label === true || label === 1
}

/** By score: the share of the other scores that are below it, ties half. Both ascend. */
function sharesBelow(scores: Float64Array, others: Float64Array): Float64Array {
  let [below, upTo] = [0, 0]
  return scores.map((score) => {
    while (below < others.length && (others[below] as number) < score) below++
    upTo = Math.max(upTo, below)
    while (upTo < others.length && (others[upTo] as number) <= score) upTo++
    return (below + upTo) / 2 / others.length
  })
}

/** Around the mean, so that shares near 0 or 1 lose no digits. */
function variance(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
}

function expit(x: number): number {
  return 1 / (1 + Math.exp(-x))
}
