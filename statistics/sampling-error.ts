/** A chance that counts as none. */
const never = 1e-9

/**
 * How far the mean of a uniform sample is from the mean of all values: not further, except with a probability of one in
 * a billion. Nothing is assumed of the distribution. Source: Bernstein's inequality, which Hoeffding (JASA 58, 1963,
 * section 6) extends to samples without replacement.
 *
 * @param n values in the sample
 * @param all `deviation` and `range` (greatest less least) of all values
 */
export function samplingError(n: number, { deviation, range }: { readonly deviation: number; readonly range: number }): number {
  if (n === 0) return Number.POSITIVE_INFINITY
  const log = Math.log(2 / never)
  const linear = (range * log) / (3 * n)
  return linear + Math.sqrt(linear ** 2 + (2 * deviation ** 2 * log) / n)
}

/** The same of a share. */
export function shareError(n: number, share: number): number {
  return samplingError(n, { deviation: Math.sqrt(share * (1 - share)), range: 1 })
}
