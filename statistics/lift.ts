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
