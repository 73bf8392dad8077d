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

/**
 * The difference of two areas over the same rows, first minus second, with DeLong's paired interval: the scores of a
 * row depend on each other. NaN limits with fewer than two rows of either label. O(n log n). Source: DeLong, DeLong and
 * Clarke-Pearson, Biometrics 44 (1988).
 */
export function aucDifference(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  labels: ArrayLike<boolean | number>,
  alpha = 0.05,
): Estimate {
  const [ofFirst, ofSecond] = [sharesByRow(first, labels), sharesByRow(second, labels)]
  // of positives, then of negatives
  const differences = [true, false].map((label) =>
    ofFirst.map((share, row) => share - (ofSecond[row] as number)).filter((_, row) => isPositive(labels[row]) === label),
  ) as [Float64Array, Float64Array]
  const [positives, negatives] = differences
  const value = positives.reduce((sum, difference) => sum + difference, 0) / positives.length
  const half = criticalValue(alpha) * Math.sqrt(variance(positives) / positives.length + variance(negatives) / negatives.length)
  return { value, low: value - half, high: value + half, n: labels.length }
}

/** By row: the share of the scores of the other label that are below its score, ties half. */
function sharesByRow(scores: ArrayLike<number>, labels: ArrayLike<boolean | number>): Float64Array {
  const [positives, negatives] = byLabel(scores, labels)
  return Float64Array.from({ length: scores.length }, (_, row) => {
    const others = isPositive(labels[row]) ? negatives : positives
    const score = scores[row] as number
    const below = firstAt(others, (other) => other >= score)
    return (below + firstAt(others, (other) => other > score)) / 2 / others.length
  })
}

/** The least index from which on ascending values are `reached`; their number: none is. */
function firstAt(ascending: Float64Array, reached: (value: number) => boolean): number {
  let [from, to] = [0, ascending.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (reached(ascending[middle] as number)) to = middle
    else from = middle + 1
  }
  return from
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
