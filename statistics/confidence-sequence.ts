import { edge, logLikelihood, logMixture } from './bernoulli-mixture.ts'
import { normalCdf } from './distributions.ts'

/** An interval that holds at every moment at once with probability `1 - alpha`, however often it is looked at. */
export interface Sequence {
  readonly value: number
  readonly low: number
  readonly high: number
  /** The least alpha at which the interval excludes the null value: it excludes it exactly where p <= alpha. */
  readonly p: number
  /** The evidence against the null value, an e-value: 1/p where that exceeds 1. For `eBenjaminiHochberg`. */
  readonly e: number
}

/** The one-sided form: the true value is above `low` at every moment with probability `1 - alpha`. */
export type LowerBound = Omit<Sequence, 'high'>

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
  const { grown, scale } = growth(n, alpha, tightestAt)
  const half = standardError * criticalMultiple(n, { alpha, tightestAt })
  const distance = (value - nullValue) ** 2 / (standardError ** 2 * scale)
  const e = standardError === 0 ? (value === nullValue ? 1 : Number.POSITIVE_INFINITY) : Math.exp(distance) / Math.sqrt(grown)
  return { value, low: value - half, high: value + half, p: Math.min(1, 1 / e), e }
}

/** Half the width of {@link asymptoticSequence} in standard errors: 1.96 for the interval of a fixed horizon. */
export function criticalMultiple(n: number, { alpha = 0.05, tightestAt = 5000 }: Omit<SequenceOptions, 'nullValue'> = {}): number {
  const { grown, scale } = growth(n, alpha, tightestAt)
  return Math.sqrt(scale * Math.log(Math.sqrt(grown) / alpha))
}

/** With s² = n · se², the square of the half width is se² · scale · ln(√grown / alpha). */
function growth(n: number, alpha: number, tightestAt: number): { readonly grown: number; readonly scale: number } {
  const rhoSquared = (-2 * Math.log(alpha) + Math.log(-2 * Math.log(alpha) + 1)) / tightestAt
  const grown = n * rhoSquared + 1
  return { grown, scale: (2 * grown) / (n * rhoSquared) }
}

/**
 * How far an estimate certainly exceeds `nullValue`: the one-sided form of {@link asymptoticSequence}, by a mixture
 * over effects above the null alone. Negate the estimate and the null for the other side. Non-inferiority with a margin
 * is `nullValue: -margin`: small p says that the estimate is above it. Source: arXiv 2103.06476, section B.1.
 */
export function asymptoticLowerBound(
  value: number,
  standardError: number,
  n: number,
  { alpha = 0.05, tightestAt = 5000, nullValue = 0 }: SequenceOptions = {},
): LowerBound {
  if (standardError === 0) {
    const e = value > nullValue ? Number.POSITIVE_INFINITY : 1
    return { value, low: value, p: 1 / e, e }
  }
  // two sides share alpha, so one side is tuned as two at twice the level
  const { grown, scale } = growth(n, Math.min(2 * alpha, 0.99), tightestAt)
  const evidence = (z: number): number =>
    ((2 * normalCdf(z * Math.sqrt((grown - 1) / grown))) / Math.sqrt(grown)) * Math.exp((z * z) / scale)
  const widest = Math.sqrt(scale * Math.log((2 * Math.sqrt(grown)) / alpha)) + 1
  const critical = edge((z) => evidence(z) < 1 / alpha, widest, 0)
  const e = evidence((value - nullValue) / standardError)
  return { value, low: value - critical * standardError, p: Math.min(1, 1 / e), e }
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
  const allowed = (atOrBelow: number): boolean =>
    logMixture({ successes: atOrBelow, n }, prior) - logLikelihood({ successes: atOrBelow, n }, quantile) < -Math.log(alpha)
  let [least, greatest] = [Math.round(n * quantile), Math.round(n * quantile)]
  while (least > 0 && allowed(least - 1)) least--
  while (greatest < n && allowed(greatest + 1)) greatest++
  return { low: least - 1, high: greatest }
}
