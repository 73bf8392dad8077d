import { ascendingOrderInSteps } from './ascending-order.ts'
import { studentQuantile } from './distributions.ts'
import type { Estimate } from './interval.ts'
import { criticalValue } from './interval.ts'
import { movedBy } from './quality-scores.ts'
import type { Steps } from './steps.ts'
import { inParts, runSteps } from './steps.ts'

export interface AucOptions {
  readonly alpha?: number
  /** By row: its entity, where rows of one entity depend on each other. Absent: all rows are independent. */
  readonly entities?: ArrayLike<number> | undefined
}

export type AucEstimate = Estimate & { readonly standardError: number }

/**
 * The area under the ROC curve with DeLong's interval, made on the logit scale so that it stays within 0 and 1. Ties
 * count half. Needs both labels; the interval is NaN with fewer than two rows, or entities, of either. Student's
 * quantile, because few rows of one label say little of their own variance. O(n). Source: DeLong, DeLong and
 * Clarke-Pearson, Biometrics 44 (1988); Sun and Xu, IEEE Signal Processing Letters 21 (2014), for the ranks.
 */
export function auc(scores: ArrayLike<number>, labels: ArrayLike<boolean | number>, options: AucOptions = {}): AucEstimate {
  return runSteps(aucInSteps(scores, labels, options))
}

/** As {@link auc}. */
export function* aucInSteps(
  scores: ArrayLike<number>,
  labels: ArrayLike<boolean | number>,
  { alpha = 0.05, entities }: AucOptions,
): Steps<AucEstimate> {
  const n = scores.length
  const shares = yield* sharesByRow(scores, labels)
  const { value, standardError, weights } = yield* meanOfShares(shares, labels, entities)
  if (Number.isNaN(value)) return { value, low: 0, high: 1, n, standardError: Number.NaN }
  if (value === 0 || value === 1) {
    const bound = perfectBound(weights, alpha)
    return { value, low: value === 1 ? bound : 0, high: value === 1 ? 1 : 1 - bound, n, standardError }
  }
  const logit = Math.log(value / (1 - value))
  const half = (critical(weights, alpha) * standardError) / (value * (1 - value))
  return { value, low: expit(logit - half), high: expit(logit + half), n, standardError }
}

/**
 * The difference of two areas over the same rows, first minus second, with DeLong's paired interval: the scores of a
 * row depend on each other. NaN limits with fewer than two rows, or entities, of either label. O(n). Source: as
 * {@link auc}.
 */
export function aucDifference(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  labels: ArrayLike<boolean | number>,
  options: AucOptions = {},
): Estimate {
  return runSteps(aucDifferenceInSteps(first, second, labels, options))
}

/** As {@link aucDifference}. */
export function* aucDifferenceInSteps(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  labels: ArrayLike<boolean | number>,
  { alpha = 0.05, entities }: AucOptions,
): Steps<Estimate> {
  const others = yield* sharesByRow(second, labels)
  const differences = yield* sharesByRow(first, labels)
  yield* inParts(labels.length, (from, to) => {
    for (let row = from; row < to; row++) differences[row] = (differences[row] as number) - (others[row] as number)
  })
  const { value, standardError, weights } = yield* meanOfShares(differences, labels, entities)
  const half = critical(weights, alpha) * standardError
  return { value, low: value - half, high: value + half, n: labels.length }
}

/** By row: the share of the rows of the other label that its score is on the right side of, ties half. */
function* sharesByRow(scores: ArrayLike<number>, labels: ArrayLike<boolean | number>): Steps<Float64Array> {
  const order = yield* ascendingOrderInSteps(scores)
  const n = order.length
  const shares = new Float64Array(n)
  let positives = 0
  yield* inParts(n, (from, to) => {
    for (let row = from; row < to; row++) if (isPositive(labels[row])) positives++
  })
  const negatives = n - positives
  let [first, positivesBelow, negativesBelow] = [0, 0, 0]
  yield* inParts(n, (_, end) => {
    // rows of one score are taken together, also beyond the part
    while (first < end) {
      const score = scores[order[first] as number]
      let tied = 0
      let to = first
      do {
        if (isPositive(labels[order[to] as number])) tied++
        to++
      } while (to < n && scores[order[to] as number] === score)
      const others = to - first - tied
      for (let at = first; at < to; at++) {
        const row = order[at] as number
        shares[row] = isPositive(labels[row])
          ? (negativesBelow + others / 2) / negatives
          : (positives - positivesBelow - tied / 2) / positives
      }
      positivesBelow += tied
      negativesBelow += others
      first = to
    }
  })
  return shares
}

/** So many independent rows of each label weigh as those that there are. */
interface Weights {
  readonly positives: number
  readonly negatives: number
}

interface SharesMean {
  /** The mean over positive rows, which is that over negative ones. NaN: there are none of one label. */
  readonly value: number
  readonly standardError: number
  readonly weights: Weights
}

/**
 * The error of the mean of {@link sharesByRow}, or of a difference of these. By entity it is the jackknife that leaves
 * out one entity after the other: its rows of both labels go together, and an entity with most of the rows counts for
 * what it moves. Source: Obuchowski, Biometrics 53 (1997), for clustered ROC curves; Bell and McCaffrey, Survey
 * Methodology 28 (2002), for the jackknife.
 */
function* meanOfShares(
  shares: Float64Array,
  labels: ArrayLike<boolean | number>,
  entities: ArrayLike<number> | undefined,
): Steps<SharesMean> {
  const all = { positive: newSums(), negative: newSums() }
  yield* inParts(shares.length, (from, to) => {
    for (let row = from; row < to; row++) add(sideOf(all, labels[row]), shares[row] as number)
  })
  const { positive, negative } = all
  const value = positive.sum / positive.rows
  const means = { positive: value, negative: negative.sum / negative.rows }
  if (positive.rows === 0 || negative.rows === 0)
    return { value: Number.NaN, standardError: Number.NaN, weights: { positives: 0, negatives: 0 } }
  if (entities === undefined) {
    let [ofPositives, ofNegatives] = [0, 0]
    yield* inParts(shares.length, (from, to) => {
      for (let row = from; row < to; row++) {
        const share = shares[row] as number
        if (isPositive(labels[row])) ofPositives += (share - means.positive) ** 2
        else ofNegatives += (share - means.negative) ** 2
      }
    })
    const variance = ofPositives / (positive.rows - 1) / positive.rows + ofNegatives / (negative.rows - 1) / negative.rows
    return { value, standardError: Math.sqrt(variance), weights: { positives: positive.rows, negatives: negative.rows } }
  }
  const byEntity = new Map<number, typeof all>()
  yield* inParts(shares.length, (from, to) => {
    for (let row = from; row < to; row++) {
      const entity = entities[row] as number
      let own = byEntity.get(entity)
      if (own === undefined) byEntity.set(entity, (own = { positive: newSums(), negative: newSums() }))
      add(sideOf(own, labels[row]), shares[row] as number)
    }
  })
  let [squares, ofPositives, ofNegatives] = [0, 0, 0]
  for (const own of byEntity.values()) {
    const moved =
      movedBy(own.positive.sum - means.positive * own.positive.rows, positive.rows - own.positive.rows) +
      movedBy(own.negative.sum - means.negative * own.negative.rows, negative.rows - own.negative.rows)
    squares += moved * moved
    ofPositives += own.positive.rows ** 2
    ofNegatives += own.negative.rows ** 2
  }
  return {
    value,
    standardError: Math.sqrt((squares * (byEntity.size - 1)) / byEntity.size),
    weights: { positives: positive.rows ** 2 / ofPositives, negatives: negative.rows ** 2 / ofNegatives },
  }
}

interface Sums {
  rows: number
  sum: number
}

function newSums(): Sums {
  return { rows: 0, sum: 0 }
}

function add(sums: Sums, share: number): void {
  sums.rows++
  sums.sum += share
}

function sideOf<T>(sides: { readonly positive: T; readonly negative: T }, label: boolean | number | undefined): T {
  return isPositive(label) ? sides.positive : sides.negative
}

function critical({ positives, negatives }: Weights, alpha: number): number {
  return studentQuantile(1 - alpha / 2, Math.max(1, Math.min(positives, negatives) - 1))
}

/**
 * The lower bound of the area where every positive score exceeds every negative one, so that the rows show no variance:
 * the least area for which that is within z errors. Source: Newcombe, Statistics in Medicine 25 (2006) 559, method 5.
 */
function perfectBound({ positives, negatives }: Weights, alpha: number): number {
  const z = criticalValue(alpha)
  const others = Math.max(0, (positives + negatives) / 2 - 1)
  let [low, high] = [0, 1]
  for (let i = 0; i < 60; i++) {
    const area = (low + high) / 2
    const variance = (area * (1 + (others * (1 - area)) / (2 - area) + (others * area) / (1 + area))) / (positives * negatives)
    if (1 - area > z * z * variance) low = area
    else high = area
  }
  return low
}

function isPositive(label: boolean | number | undefined): boolean {
  return label === true || label === 1
}

function expit(x: number): number {
  return 1 / (1 + Math.exp(-x))
}
