import { ascendingOrder } from './ascending-order.ts'
import { criticalValue, type Estimate } from './interval.ts'

/**
 * The area under the ROC curve with DeLong's interval, made on the logit scale so that it stays within 0 and 1. Ties
 * count half. Needs both labels; the interval is NaN with fewer than two of either. O(n log n). Source: DeLong, DeLong
 * and Clarke-Pearson, Biometrics 44 (1988); Sun and Xu, IEEE Signal Processing Letters 21 (2014), for the ranks.
 */
export function auc(scores: readonly number[], labels: readonly boolean[], alpha = 0.05): Estimate & { readonly standardError: number } {
  const n = scores.length
  const overall = midRanks(scores)
  const positives = scores.filter((_, i) => labels[i] === true)
  const negatives = scores.filter((_, i) => labels[i] !== true)
  const [m, k] = [positives.length, negatives.length]
  if (m === 0 || k === 0) return { value: Number.NaN, low: 0, high: 1, n, standardError: Number.NaN }
  const inPositives = midRanks(positives)
  const inNegatives = midRanks(negatives)
  // the share of the other label that each score beats
  const placements: readonly [number[], number[]] = [[], []]
  for (let i = 0; i < n; i++) {
    const rank = overall[i] as number
    if (labels[i] === true) placements[0].push((rank - (inPositives[placements[0].length] as number)) / k)
    else placements[1].push(1 - (rank - (inNegatives[placements[1].length] as number)) / m)
  }
  const value = placements[0].reduce((sum, share) => sum + share, 0) / m
  const standardError = Math.sqrt(variance(placements[0]) / m + variance(placements[1]) / k)
  const logit = Math.log(value / (1 - value))
  const half = (criticalValue(alpha) * standardError) / (value * (1 - value))
  // a perfect ranking has no logit: its variance is 0, and its interval a point
  const limits = value > 0 && value < 1 ? [expit(logit - half), expit(logit + half)] : [value, value]
  return { value, low: limits[0] ?? value, high: limits[1] ?? value, n, standardError }
}

/** Ranks from 1, ties by their mean. */
function midRanks(values: readonly number[]): number[] {
  const order = ascendingOrder(values)
  const ranks = new Array<number>(values.length)
  for (let from = 0; from < order.length;) {
    let to = from + 1
    while (to < order.length && values[order[to] as number] === values[order[from] as number]) to++
    for (let i = from; i < to; i++) ranks[order[i] as number] = (from + 1 + to) / 2
    from = to
  }
  return ranks
}

function variance(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
}

function expit(x: number): number {
  return 1 / (1 + Math.exp(-x))
}
