import { normalQuantile, normalSurvival } from './distributions.ts'

/** A mean with the variance of the mean itself (its standard error squared). */
export interface MeanEstimate {
  readonly mean: number
  readonly varianceOfMean: number
}

/**
 * The mean of a ratio metric Σ numerator / Σ denominator over units, by the delta method. Source: Deng, Knoblich and
 * Lu, KDD 2018.
 *
 * @param covariance of numerator and denominator over units; variances are of units too
 */
export function ratioMean(
  numerator: { readonly mean: number; readonly variance: number },
  denominator: { readonly mean: number; readonly variance: number },
  covariance: number,
  n: number,
): MeanEstimate {
  const mean = numerator.mean / denominator.mean
  const variance = (numerator.variance - 2 * mean * covariance + mean * mean * denominator.variance) / denominator.mean ** 2
  return { mean, varianceOfMean: variance / n }
}

/** Treatment minus control, and its standard error; arms are independent. */
export function difference(control: MeanEstimate, treatment: MeanEstimate): { readonly value: number; readonly standardError: number } {
  return { value: treatment.mean - control.mean, standardError: Math.sqrt(control.varianceOfMean + treatment.varianceOfMean) }
}

/**
 * (treatment - control) / |control| and its standard error, by the delta method. NaN where the control's mean is 0.
 */
export function relativeLift(control: MeanEstimate, treatment: MeanEstimate): { readonly value: number; readonly standardError: number } {
  const a = control.mean
  const variance = treatment.varianceOfMean / a ** 2 + (control.varianceOfMean * treatment.mean ** 2) / a ** 4
  return { value: (treatment.mean - a) / Math.abs(a), standardError: Math.sqrt(variance) }
}

/**
 * The power of the two-sided test of a difference, at a fixed number of units.
 *
 * @param effect the true difference over its standard deviation: Cohen's d, or h of two proportions
 */
export function power(effect: number, n: { readonly control: number; readonly treatment: number }, alpha = 0.05): number {
  const shift = effect * Math.sqrt(1 / (1 / n.control + 1 / n.treatment))
  const z = normalQuantile(1 - alpha / 2)
  return normalSurvival(z - shift) + normalSurvival(z + shift)
}

/** The least effect size that a two-sided test finds with this power. */
export function detectableEffect(n: { readonly control: number; readonly treatment: number }, wanted = 0.8, alpha = 0.05): number {
  let [low, high] = [0, 1]
  while (power(high, n, alpha) < wanted && high < 1e6) high *= 2
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2
    if (power(middle, n, alpha) < wanted) low = middle
    else high = middle
  }
  return high
}

/** Cohen's h, the effect size of two proportions: 2 asin √p2 - 2 asin √p1. Source: Cohen (1988), chapter 6. */
export function proportionEffect(first: number, second: number): number {
  return 2 * Math.asin(Math.sqrt(second)) - 2 * Math.asin(Math.sqrt(first))
}
