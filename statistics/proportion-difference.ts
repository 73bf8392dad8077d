import type { BetaPrior, Draws } from './bernoulli-mixture.ts'
import { edge, logLikelihood, logMixture } from './bernoulli-mixture.ts'
import type { LowerBound, Sequence, SequenceOptions } from './confidence-sequence.ts'

type DifferenceOptions = Omit<SequenceOptions, 'tightestAt'> & { readonly prior?: BetaPrior }

/**
 * The confidence sequence of the difference of two proportions, treatment minus control, exact at every n and for any
 * order of the draws. It holds all differences that some pair of proportions explains: the mixtures of both arms do not
 * outweigh its likelihood by 1/alpha. Source: Turner and Grünwald, Statistics and Probability Letters 198 (2023),
 * "Exact anytime-valid confidence intervals for contingency tables"; the mixtures are those of Robbins (1970).
 *
 * @param options `prior` is of each arm's proportion; the interval is valid for any
 */
export function proportionDifference(
  control: Draws,
  treatment: Draws,
  { alpha = 0.05, nullValue = 0, prior = jeffreys }: DifferenceOptions = {},
): Sequence {
  const logE = evidence(control, treatment, prior)
  const limit = -Math.log(alpha)
  const value = treatment.successes / treatment.n - control.successes / control.n
  const peak = Number.isNaN(value) ? 0 : value
  const low = logE(-1) < limit ? -1 : edge((difference) => logE(difference) < limit, -1, peak)
  const high = logE(1) < limit ? 1 : edge((difference) => logE(difference) < limit, 1, peak)
  const e = Math.exp(logE(nullValue))
  return { value, low, high, p: Math.min(1, 1 / e), e }
}

/**
 * How far the treatment's proportion certainly exceeds the control's: the one-sided form of {@link
 * proportionDifference}. Small p: it exceeds it by more than `nullValue`, the margin.
 */
export function proportionRise(
  control: Draws,
  treatment: Draws,
  { alpha = 0.05, nullValue = 0, prior = jeffreys }: DifferenceOptions = {},
): LowerBound {
  const logE = evidence(control, treatment, prior)
  const limit = -Math.log(alpha)
  const value = treatment.successes / treatment.n - control.successes / control.n
  const peak = Number.isNaN(value) ? 0 : value
  const low = logE(-1) < limit ? -1 : edge((difference) => logE(difference) < limit, -1, peak)
  // the null holds all differences up to `nullValue`: the most likely of them explains the draws best
  const e = Math.exp(logE(Math.min(peak, nullValue)))
  return { value, low, p: Math.min(1, 1 / e), e }
}

const jeffreys: BetaPrior = [0.5, 0.5]

/** By difference: the logarithm of the mixtures over the greatest likelihood of two proportions that differ so. */
function evidence(control: Draws, treatment: Draws, prior: BetaPrior): (difference: number) => number {
  const mixture = logMixture(control, prior) + logMixture(treatment, prior)
  return (difference) => mixture - greatestLogLikelihood(control, treatment, difference)
}

function greatestLogLikelihood(control: Draws, treatment: Draws, difference: number): number {
  const slope = ({ successes, n }: Draws, p: number): number =>
    (successes === 0 ? 0 : successes / p) - (n === successes ? 0 : (n - successes) / (1 - p))
  const [least, greatest] = [Math.max(0, -difference), Math.min(1, 1 - difference)]
  let [low, high] = [least, greatest]
  // the likelihood is concave in the control's proportion
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2
    if (middle === low || middle === high) break
    if (slope(control, middle) + slope(treatment, middle + difference) > 0) low = middle
    else high = middle
  }
  const at = (p: number): number => logLikelihood(control, p) + logLikelihood(treatment, p + difference)
  // rounding may lead p + difference out of [0, 1], where the likelihood is NaN
  return Math.max(...[low, high, least, greatest].map(at).filter((value) => !Number.isNaN(value)), Number.NEGATIVE_INFINITY)
}
