import { betaI } from './beta.ts'
import { gammaP, gammaQ } from './gamma.ts'

/** The density of the standard normal distribution. */
export function normalDensity(z: number): number {
  return Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI)
}

/** P(Z <= z) of the standard normal distribution. */
export function normalCdf(z: number): number {
  return z < 0 ? gammaQ(0.5, 0.5 * z * z) / 2 : 0.5 + gammaP(0.5, 0.5 * z * z) / 2
}

/** P(Z > z), exact in the upper tail. */
export function normalSurvival(z: number): number {
  return normalCdf(-z)
}

/**
 * The z with P(Z <= z) = p; -Infinity at 0, Infinity at 1. From Hastings' approximation (Abramowitz and Stegun 26.2.23)
 * by three steps of Halley, each of which triples the exact digits.
 */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) return Number.NaN
  if (p > 0.5) return -normalQuantile(1 - p)
  if (p === 0) return Number.NEGATIVE_INFINITY
  if (p === 0.5) return 0
  const t = Math.sqrt(-2 * Math.log(p))
  let z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))))
  for (let i = 0; i < 3; i++) {
    const error = (normalCdf(z) - p) / normalDensity(z)
    z -= error / (1 + (error * z) / 2)
  }
  return z
}

/** P(X > x) of the chi-squared distribution; `degrees` of freedom may be fractional. */
export function chiSquaredSurvival(x: number, degrees: number): number {
  return x <= 0 ? 1 : gammaQ(degrees / 2, x / 2)
}

/** P(T > t) of Student's distribution; `degrees` of freedom may be fractional. */
export function studentSurvival(t: number, degrees: number): number {
  const square = t * t
  const tail = betaI(degrees / (degrees + square), degrees / 2, 0.5, square / (degrees + square)) / 2
  return t >= 0 ? tail : 1 - tail
}

/** P(F > x) of the F distribution. */
export function fSurvival(x: number, numerator: number, denominator: number): number {
  if (x <= 0) return 1
  const share = denominator / (denominator + numerator * x)
  return betaI(share, denominator / 2, numerator / 2, 1 - share)
}

/** The t with P(T <= t) = p. */
export function studentQuantile(p: number, degrees: number): number {
  if (p < 0.5) return -studentQuantile(1 - p, degrees)
  let far = 1
  while (studentSurvival(far, degrees) > 1 - p && far < Number.MAX_VALUE / 2) far *= 2
  return bisect((t) => studentSurvival(t, degrees) <= 1 - p, far)
}

/** The least argument in [0, high] from which on `reached` holds, to the last bit. */
function bisect(reached: (x: number) => boolean, high: number): number {
  let [from, to] = [0, high]
  for (let i = 0; i < 2000; i++) {
    const middle = from + (to - from) / 2
    if (middle === from || middle === to) break
    if (reached(middle)) to = middle
    else from = middle
  }
  return to
}
