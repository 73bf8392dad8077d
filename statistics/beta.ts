import { logBeta } from './gamma.ts'

/**
 * I(x; a, b), the regularized incomplete beta function, for a, b > 0 and x in [0, 1]; NaN elsewhere. By the continued
 * fraction of Didonato and Morris (1992) in Lentz's form. `complement` is 1 - x where the caller knows it better than
 * the subtraction does.
 */
export function betaI(x: number, a: number, b: number, complement = 1 - x): number {
  if (!(a > 0) || !(b > 0) || !(x >= 0 && x <= 1)) return Number.NaN
  if (x === 0) return 0
  if (complement === 0) return 1
  const factor = Math.exp(a * Math.log(x) + b * Math.log(complement) - logBeta(a, b))
  return x < (a + 1) / (a + b + 2) ? (factor * fraction(x, a, b)) / a : 1 - (factor * fraction(complement, b, a)) / b
}

/** Abramowitz and Stegun 26.5.8. */
function fraction(x: number, a: number, b: number): number {
  const tiny = 1e-300
  const nonzero = (value: number): number => (Math.abs(value) < tiny ? tiny : value)
  let c = 1
  let d = 1 / nonzero(1 - ((a + b) * x) / (a + 1))
  let result = d
  for (let m = 1; m < 1_000_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / nonzero(1 + even * d)
    c = nonzero(1 + even / c)
    result *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / nonzero(1 + odd * d)
    c = nonzero(1 + odd / c)
    const factor = d * c
    result *= factor
    if (Math.abs(factor - 1) < 1e-16) break
  }
  return result
}
