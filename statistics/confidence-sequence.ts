import { logBeta } from './gamma.ts'

/** An interval that holds at every moment at once with probability `1 - alpha`, however often it is looked at. */
export interface Sequence {
  readonly value: number
  readonly low: number
  readonly high: number
  /** The least alpha at which the interval excludes the null value: it excludes it exactly where p <= alpha. */
  readonly p: number
}

export interface SequenceOptions {
  readonly alpha?: number
  /** The number of observations at which the interval is tightest: what the plan expects. */
  readonly tightestAt?: number
  /** The value that p is about. */
  readonly nullValue?: number
}

/**
 * The asymptotic confidence sequence of an estimate whose standard error shrinks as 1/√n: a mean, a difference of
 * means, a lift by the delta method. Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476, theorem
 * 2.2 and section 2.4 for the tuning.
 *
 * It is asymptotic: with heavy tails it does not hold at small n. The caller decides from which n it is shown.
 *
 * @param n observations behind the estimate
 */
export function asymptoticSequence(
  value: number,
  standardError: number,
  n: number,
  { alpha = 0.05, tightestAt = 5000, nullValue = 0 }: SequenceOptions = {},
): Sequence {
  const rhoSquared = (-2 * Math.log(alpha) + Math.log(-2 * Math.log(alpha) + 1)) / tightestAt
  const grown = n * rhoSquared + 1
  // with s² = n · se², the square of the half width is se² · scale · ln(√grown / alpha)
  const scale = (2 * grown) / (n * rhoSquared)
  const half = standardError * Math.sqrt(scale * Math.log(Math.sqrt(grown) / alpha))
  const distance = (value - nullValue) ** 2 / (standardError ** 2 * scale)
  const p = standardError === 0 ? (value === nullValue ? 1 : 0) : Math.min(1, Math.sqrt(grown) * Math.exp(-distance))
  return { value, low: value - half, high: value + half, p }
}

/**
 * The confidence sequence of a proportion, exact at every n and for any order of the outcomes: all p that the mixture
 * of Bernoulli likelihoods under a Beta prior does not outweigh by 1/alpha. Source: Robbins, Ann. Math. Statist. 41
 * (1970); Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49 (2021), section 3.2, beta-binomial mixture.
 *
 * @param prior the weights of success and failure in the mixture; the interval is valid for any, tightest near the
 *   truth
 */
export function proportionSequence(
  successes: number,
  n: number,
  { alpha = 0.05, nullValue = 0.5, prior = [1, 1] }: SequenceOptions & { readonly prior?: readonly [number, number] } = {},
): Sequence {
  const evidence = logMixture(successes, n, prior)
  const logRatio = (p: number): number => evidence - logLikelihood(successes, n, p)
  const limit = -Math.log(alpha)
  const value = n === 0 ? Number.NaN : successes / n
  const peak = n === 0 ? 0.5 : value
  const low = logRatio(0) < limit ? 0 : edge((p) => logRatio(p) < limit, 0, peak)
  const high = logRatio(1) < limit ? 1 : edge((p) => logRatio(p) < limit, 1, peak)
  return { value, low, high, p: Math.min(1, Math.exp(-logRatio(nullValue))) }
}

/**
 * The confidence sequence of a quantile, exact at every n for independent draws: values up to the true quantile are
 * successes of a Bernoulli variable with probability `quantile`, so the quantile lies among the order statistics whose
 * ranks the proportion's sequence does not exclude.
 *
 * @param quantile in (0, 1), such as 0.99
 * @returns ranks from 0 in the ascending sample: `low` is -1 and `high` is n where the sample has no bound
 */
export function quantileRanks(n: number, quantile: number, alpha = 0.05): { readonly low: number; readonly high: number } {
  // a prior that expects the quantile, with the weight of some tens of observations
  const prior = [20 * quantile, 20 * (1 - quantile)] as const
  const allowed = (atOrBelow: number): boolean => logMixture(atOrBelow, n, prior) - logLikelihood(atOrBelow, n, quantile) < -Math.log(alpha)
  let [least, greatest] = [Math.round(n * quantile), Math.round(n * quantile)]
  while (least > 0 && allowed(least - 1)) least--
  while (greatest < n && allowed(greatest + 1)) greatest++
  return { low: least - 1, high: greatest }
}

function logMixture(successes: number, n: number, [a, b]: readonly [number, number]): number {
  return logBeta(a + successes, b + n - successes) - logBeta(a, b)
}

function logLikelihood(successes: number, n: number, p: number): number {
  const failures = n - successes
  return (successes === 0 ? 0 : successes * Math.log(p)) + (failures === 0 ? 0 : failures * Math.log1p(-p))
}

/** Where a condition that holds at `inside` and not at `outside` begins to hold, by halving. */
function edge(holds: (x: number) => boolean, outside: number, inside: number): number {
  let [out, within] = [outside, inside]
  for (let i = 0; i < 200; i++) {
    const middle = (out + within) / 2
    if (middle === out || middle === within) break
    if (holds(middle)) within = middle
    else out = middle
  }
  return out
}
