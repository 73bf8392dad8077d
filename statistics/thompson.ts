import { normalCdf, normalDensity } from './distributions.ts'
import type { MeanEstimate } from './lift.ts'

export interface BanditArm extends MeanEstimate {
  readonly n: number
}

export interface BanditSettings {
  /** The least share of an arm; times the number of arms it is at most 1. */
  readonly floor: number
  /** No arm's share changes before each has as many units; 100 by default. */
  readonly minUnits?: number
  readonly better?: 'higher' | 'lower'
}

/**
 * The next shares of a bandit's arms by Thompson sampling: the probability that an arm is the best under independent
 * normal posteriors, w, lifted to the floor by f + (1 - k f) w. They are computed by quadrature, so the same results
 * give the same shares. Sources: Thompson, Biometrika 25 (1933); Scott, Applied Stochastic Models in Business and
 * Industry 26 (2010).
 *
 * @returns null: an arm has too few units, or no arm has a spread; leave the shares as they are
 * @throws RangeError where the floors exceed 1 together
 */
export function nextWeights(arms: readonly BanditArm[], { floor, minUnits = 100, better = 'higher' }: BanditSettings): number[] | null {
  if (!(floor >= 0 && floor * arms.length <= 1)) throw new RangeError(`A floor of ${floor} for ${arms.length} arms exceeds 1 together.`)
  if (arms.some(({ n, mean, varianceOfMean }) => n < minUnits || !Number.isFinite(mean) || !Number.isFinite(varianceOfMean))) return null
  // an arm whose units are all alike has the spread of the others: its own would make it certain
  const spread = arms.reduce((sum, { n, varianceOfMean }) => sum + n * n * varianceOfMean, 0) / arms.reduce((sum, { n }) => sum + n, 0)
  if (!(spread > 0)) return null
  const sign = better === 'higher' ? 1 : -1
  const posteriors = arms.map(({ n, mean, varianceOfMean }) => ({
    mean: sign * mean,
    deviation: Math.sqrt(varianceOfMean > 0 ? varianceOfMean : spread / n),
  }))
  return chancesToBeBest(posteriors).map((chance) => floor + (1 - arms.length * floor) * chance)
}

/** By arm, the probability that its value is the greatest of all. */
export function chancesToBeBest(posteriors: readonly { readonly mean: number; readonly deviation: number }[]): number[] {
  // no piece is wider than one deviation of any arm, so each integrand is smooth in it
  const steps = Array.from({ length: 17 }, (_, i) => i - 8)
  const edges = posteriors.flatMap(({ mean, deviation }) => steps.map((step) => mean + step * deviation)).toSorted((a, b) => a - b)
  const least = Math.min(...posteriors.map(({ deviation }) => deviation)) / 4
  const chances = posteriors.map(() => 0)
  let from = edges[0] as number
  for (const [piece, to] of edges.entries()) {
    // edges of arms that are near each other make one piece
    if (to - from < least && piece < edges.length - 1) continue
    const half = (to - from) / 2
    for (const [node, weight] of gaussLegendre) {
      const x = from + half * (1 + node)
      const scores = posteriors.map(({ mean, deviation }) => (x - mean) / deviation)
      const below = scores.map(normalCdf)
      for (const [k, { deviation }] of posteriors.entries()) {
        const others = below.reduce((product, share, j) => (j === k ? product : product * share), 1)
        chances[k] = (chances[k] as number) + (half * weight * normalDensity(scores[k] as number) * others) / deviation
      }
    }
    from = to
  }
  const total = chances.reduce((sum, chance) => sum + chance, 0)
  return chances.map((chance) => chance / total)
}

/** Nodes and weights of five points in [-1, 1]. Source: Abramowitz and Stegun, table 25.4. */
const gaussLegendre = [
  [0, 0.5688888888888889],
  [0.5384693101056831, 0.47862867049936647],
  [-0.5384693101056831, 0.47862867049936647],
  [0.906179845938664, 0.23692688505618908],
  [-0.906179845938664, 0.23692688505618908],
] as const
