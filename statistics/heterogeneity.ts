import { chiSquaredSurvival } from './distributions.ts'

/**
 * Whether the effects of slices differ more than by chance: Cochran's Q, with the fixed-horizon p-value and one that
 * holds at every look. Sources: Cochran, Biometrics 10 (1954); the second is the asymptotic sequence of arXiv
 * 2103.06476 in as many dimensions as Q has degrees of freedom.
 *
 * @param effects by slice, of disjoint units
 * @param n units of all slices
 * @returns p-values of 1 where there are fewer than two slices
 */
export function heterogeneity(
  effects: readonly { readonly value: number; readonly standardError: number }[],
  n: number,
  { alpha = 0.05, tightestAt = 5000 }: { readonly alpha?: number; readonly tightestAt?: number } = {},
): { readonly q: number; readonly degrees: number; readonly p: number; readonly anytimeP: number } {
  const known = effects.filter(({ standardError }) => standardError > 0)
  const weights = known.map(({ standardError }) => 1 / standardError ** 2)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const mean = known.reduce((sum, { value }, i) => sum + (weights[i] as number) * value, 0) / total
  const q = known.reduce((sum, { value }, i) => sum + (weights[i] as number) * (value - mean) ** 2, 0)
  const degrees = known.length - 1
  if (degrees < 1) return { q: 0, degrees: 0, p: 1, anytimeP: 1 }
  const rhoSquared = (-2 * Math.log(alpha) + Math.log(-2 * Math.log(alpha) + 1)) / tightestAt
  const grown = n * rhoSquared + 1
  const logE = (q * (grown - 1)) / (2 * grown) - (degrees / 2) * Math.log(grown)
  return { q, degrees, p: chiSquaredSurvival(q, degrees), anytimeP: Math.min(1, Math.exp(-logE)) }
}
