/** A mean with the variance of the mean itself (its standard error squared). */
export interface MeanEstimate {
  readonly mean: number
  readonly varianceOfMean: number
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
