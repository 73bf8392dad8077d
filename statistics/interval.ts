import { normalQuantile, studentQuantile } from './distributions.ts'

/** A figure with the interval that covers its true value with probability `1 - alpha`. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
  /** Independent observations behind it. */
  readonly n: number
}

/** z of a two-sided interval. */
export function criticalValue(alpha: number): number {
  return normalQuantile(1 - alpha / 2)
}

/** Wilson's score interval of a proportion. `successes` may be fractional. Source: Wilson, JASA 22 (1927). */
export function wilson(successes: number, n: number, alpha = 0.05): Estimate {
  if (n === 0) return { value: Number.NaN, low: 0, high: 1, n }
  const z = criticalValue(alpha)
  const p = successes / n
  const scale = 1 + (z * z) / n
  const center = (p + (z * z) / (2 * n)) / scale
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))
  // at 0 and n the formula gives exactly 0 and 1, but for rounding
  return { value: p, low: successes === 0 ? 0 : center - half, high: successes === n ? 1 : center + half, n }
}

/** Count, mean and variance (divided by n - 1) of a sample. */
export interface Moments {
  readonly n: number
  readonly mean: number
  readonly variance: number
}

/** Student's interval of a mean. NaN limits where there are fewer than two observations. */
export function meanInterval({ n, mean, variance }: Moments, alpha = 0.05): Estimate {
  const half = n < 2 ? Number.NaN : studentQuantile(1 - alpha / 2, n - 1) * Math.sqrt(variance / n)
  return { value: mean, low: mean - half, high: mean + half, n }
}
