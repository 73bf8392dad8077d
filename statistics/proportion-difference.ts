import type { BetaPrior, Draws } from './bernoulli-mixture.ts'
import { edge, logLikelihood, logMixture } from './bernoulli-mixture.ts'
import type { LowerBound, Sequence, SequenceOptions } from './confidence-sequence.ts'

type DifferenceOptions = Omit<SequenceOptions, 'tightestAt'>

/**
 * The confidence sequence of the difference of two proportions, treatment minus control, exact at every n and for any
 * order of the draws. It holds all differences that some pair of proportions explains: the mixtures of both arms do not
 * outweigh its likelihood by 1/alpha. Source: Turner and Grünwald, Statistics and Probability Letters 198 (2023),
 * "Exact anytime-valid confidence intervals for contingency tables"; the mixtures are those of Robbins (1970).
 */
export function proportionDifference(control: Draws, treatment: Draws, { alpha = 0.05, nullValue = 0 }: DifferenceOptions = {}): Sequence {
  const { value, logE, farthest } = explained(control, treatment, alpha)
  const e = Math.exp(logE(nullValue))
  return { value, low: farthest(-1), high: farthest(1), p: Math.min(1, 1 / e), e }
}

/**
 * How far the treatment's proportion certainly exceeds the control's: the one-sided form of {@link
 * proportionDifference}. Small p: it exceeds it by more than `nullValue`, the margin.
 */
export function proportionRise(control: Draws, treatment: Draws, { alpha = 0.05, nullValue = 0 }: DifferenceOptions = {}): LowerBound {
  const { value, peak, logE, farthest } = explained(control, treatment, alpha)
  // the null holds all differences up to `nullValue`: the most likely of them explains the draws best
  const e = Math.exp(logE(Math.min(peak, nullValue)))
  return { value, low: farthest(-1), p: Math.min(1, 1 / e), e }
}

/** The prior of each arm's proportion. The interval is valid for any. */
const jeffreys: BetaPrior = [0.5, 0.5]

/** The differences that are not excluded. */
function explained(control: Draws, treatment: Draws, alpha: number) {
  const mixture = logMixture(control, jeffreys) + logMixture(treatment, jeffreys)
  const value = treatment.successes / treatment.n - control.successes / control.n
  const peak = Number.isNaN(value) ? 0 : value
  const isExplained = (difference: number): boolean => logE(difference) < -Math.log(alpha)

  /** The logarithm of the mixtures over the greatest likelihood of two proportions that differ so. */
  function logE(difference: number): number {
    return mixture - greatestLogLikelihood(control, treatment, difference)
  }

  /** The difference that is nearest to a limit. */
  function farthest(limit: -1 | 1): number {
    return isExplained(limit) ? limit : edge(isExplained, limit, peak)
  }

  return { value, peak, logE, farthest }
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
