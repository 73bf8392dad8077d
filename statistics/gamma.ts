/** Half of the logarithm of 2π. */
const halfLogTwoPi = 0.9189385332046728

/**
 * ln Γ(x) - ((x - 1/2) ln x - x + ln √2π), Stirling's remainder, for x >= 10: an absolute error below 1e-15. Source:
 * Abramowitz and Stegun 6.1.41.
 */
function stirlingRemainder(x: number): number {
  const y = 1 / (x * x)
  return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - y * (691 / 360360 - y / 156)))))) / x
}

/**
 * ln Γ(x) for x > 0; NaN for others. The argument is raised to 10 or more by the recurrence Γ(x + 1) = x Γ(x), where
 * Stirling's series is exact to the last digits. Relative error below 1e-14, except near the zeros at 1 and 2, where
 * the absolute error is below 1e-14.
 */
export function logGamma(x: number): number {
  if (!(x > 0)) return Number.NaN
  let product = 1
  let shifted = x
  for (; shifted < 10; shifted++) product *= shifted
  return (shifted - 0.5) * Math.log(shifted) - shifted + halfLogTwoPi + stirlingRemainder(shifted) - Math.log(product)
}

/**
 * ln B(a, b) for a, b > 0, without the cancellation of three large logarithms. Source: Didonato and Morris, ACM TOMS 18
 * (1992), algorithm 708.
 */
export function logBeta(a: number, b: number): number {
  const small = Math.min(a, b)
  const large = Math.max(a, b)
  const share = small / (small + large)
  if (small >= 10) {
    const remainder = stirlingRemainder(small) + stirlingRemainder(large) - stirlingRemainder(small + large)
    return -0.5 * Math.log(large) + halfLogTwoPi + remainder + (small - 0.5) * Math.log(share) + large * Math.log1p(-share)
  }
  if (large >= 10) {
    const remainder = stirlingRemainder(large) - stirlingRemainder(small + large)
    return logGamma(small) + remainder + small - small * Math.log(small + large) + (large - 0.5) * Math.log1p(-share)
  }
  return logGamma(small) + logGamma(large) - logGamma(small + large)
}

/**
 * P(a, x), the regularized lower incomplete gamma function, for a > 0 and x >= 0. By its series below a + 1, else by
 * the continued fraction of Q = 1 - P. Source: Abramowitz and Stegun 6.5.29 and 6.5.31.
 */
export function gammaP(a: number, x: number): number {
  if (!(a > 0) || !(x >= 0)) return Number.NaN
  if (x === 0) return 0
  if (x === Number.POSITIVE_INFINITY) return 1
  return x < a + 1 ? series(a, x) : 1 - fraction(a, x)
}

/** Q(a, x) = 1 - P(a, x), exact in the upper tail. */
export function gammaQ(a: number, x: number): number {
  if (!(a > 0) || !(x >= 0)) return Number.NaN
  if (x === 0) return 1
  if (x === Number.POSITIVE_INFINITY) return 0
  return x < a + 1 ? 1 - series(a, x) : fraction(a, x)
}

/** x^a e^-x / Γ(a). For large a in terms of x/a, because the logarithms would cancel. */
function prefactor(a: number, x: number): number {
  if (a < 10) return Math.exp(a * Math.log(x) - x - logGamma(a))
  const relative = (x - a) / a
  return Math.sqrt(a / (2 * Math.PI)) * Math.exp(-a * (relative - Math.log1p(relative)) - stirlingRemainder(a))
}

function series(a: number, x: number): number {
  let term = 1 / a
  let sum = term
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= x / (a + n)
    sum += term
  }
  return sum * prefactor(a, x)
}

/** Lentz's method, as modified by Thompson and Barnett (1986). */
function fraction(a: number, x: number): number {
  const tiny = 1e-300
  let b = x + 1 - a
  let c = 1 / tiny
  let d = 1 / b
  let result = d
  for (let n = 1; n < 1_000_000; n++) {
    const step = -n * (n - a)
    b += 2
    d = 1 / nonzero(step * d + b, tiny)
    c = nonzero(b + step / c, tiny)
    const factor = d * c
    result *= factor
    if (Math.abs(factor - 1) < 1e-16) break
  }
  return result * prefactor(a, x)
}

function nonzero(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value
}
