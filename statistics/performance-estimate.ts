import { ascendingOrder } from './ascending-order.ts'
import { groupByScore, isotonic } from './isotonic.ts'

/** What the quality of a classifier is expected to be, from its probabilities alone. */
export interface PerformanceEstimate {
  readonly accuracy: number
  /** NaN where no row is predicted positive. */
  readonly precision: number
  readonly recall: number
  readonly f1: number
  readonly auc: number
  readonly n: number
}

/**
 * Confidence-based performance estimation (CBPE): a calibrated probability p is positive with probability p, so each
 * row adds p to the expected positives and 1 - p to the expected negatives. It holds while probabilities are calibrated
 * and what a feature value means for the outcome has not changed (no concept drift); a shift of the features alone is
 * fine. Source: NannyML's documentation of CBPE; Białek et al., arXiv 2407.08649.
 *
 * @param scores what the model answered, for the decision `score >= threshold`
 * @param probabilities the same, calibrated
 */
export function estimatePerformance(scores: readonly number[], probabilities: readonly number[], threshold: number): PerformanceEstimate {
  let [truePositives, falsePositives, trueNegatives, falseNegatives] = [0, 0, 0, 0]
  for (const [i, p] of probabilities.entries()) {
    if ((scores[i] as number) >= threshold) {
      truePositives += p
      falsePositives += 1 - p
    } else {
      falseNegatives += p
      trueNegatives += 1 - p
    }
  }
  const n = scores.length
  return {
    accuracy: (truePositives + trueNegatives) / n,
    precision: truePositives / (truePositives + falsePositives),
    recall: truePositives / (truePositives + falseNegatives),
    f1: (2 * truePositives) / (2 * truePositives + falsePositives + falseNegatives),
    auc: expectedAuc(scores, probabilities),
    n,
  }
}

/**
 * The chance that a positive row has a greater score than a negative one, over the expected labels; ties count half.
 */
function expectedAuc(scores: readonly number[], probabilities: readonly number[]): number {
  const order = ascendingOrder(scores)
  let [negatives, positives, pairs] = [0, 0, 0]
  for (let from = 0; from < order.length;) {
    let [tiedPositives, tiedNegatives, to] = [0, 0, from]
    for (; to < order.length && scores[order[to] as number] === scores[order[from] as number]; to++) {
      const p = probabilities[order[to] as number] as number
      tiedPositives += p
      tiedNegatives += 1 - p
    }
    pairs += tiedPositives * (negatives + tiedNegatives / 2)
    positives += tiedPositives
    negatives += tiedNegatives
    from = to
  }
  return pairs / (positives * negatives)
}

/** Turns a score into a calibrated probability. */
export type Calibrator = (score: number) => number

/**
 * Learns calibrated probabilities from labelled rows by isotonic regression, linear between the middles of its steps.
 * Steps alone would give all scores of a step one probability, and lose the order within it.
 */
export function fitCalibrator(scores: readonly number[], labels: readonly boolean[]): Calibrator {
  const groups = groupByScore(scores, labels)
  const curve = isotonic(groups)
  const [xs, ys]: [number[], number[]] = [[], []]
  for (let from = 0; from < curve.length;) {
    let [to, rows, sum] = [from, 0, 0]
    for (; to < curve.length && curve[to] === curve[from]; to++) {
      rows += groups.rows[to] as number
      sum += (groups.rows[to] as number) * (groups.scores[to] as number)
    }
    xs.push(sum / rows)
    ys.push(curve[from] as number)
    from = to
  }
  return (score) => {
    const above = upperBound(xs, score)
    if (above === 0) return ys[0] as number
    if (above === xs.length) return ys[above - 1] as number
    const [x0, x1] = [xs[above - 1] as number, xs[above] as number]
    const [y0, y1] = [ys[above - 1] as number, ys[above] as number]
    return y0 + ((score - x0) / (x1 - x0)) * (y1 - y0)
  }
}

/** The index of the first element greater than the value. */
function upperBound(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] as number) <= value) low = middle + 1
    else high = middle
  }
  return low
}
