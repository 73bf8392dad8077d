/** Central moments of one arm's units; they merge as those of `ArmSums` do. */
export interface CentralSums {
  readonly n: number
  /** Σ (y - ȳ)² and Σ (y - ȳ)³. */
  readonly squares: number
  readonly cubes: number
}

/**
 * The skewness of units around the mean of their arm: of all arms together, because a small arm knows little of tails.
 */
export function pooledSkewness(arms: readonly CentralSums[]): number {
  const total = (part: (arm: CentralSums) => number): number => arms.reduce((sum, arm) => sum + part(arm), 0)
  const n = total((arm) => arm.n)
  return total((arm) => arm.cubes) / n / (total((arm) => arm.squares) / n) ** 1.5
}

/**
 * The skewness of the difference of two means, treatment minus control, of units with the same skewness. Where it is
 * far below 0, a statistic that divides the difference by its error exceeds a normal bound too often (Boos and
 * Hughes-Oliver, The American Statistician 54, 2000).
 *
 * @param skewness of a unit
 * @param n units of both sides
 */
export function skewnessOfDifference(
  skewness: number,
  { control, treatment }: { readonly control: number; readonly treatment: number },
): number {
  return (skewness * (1 / treatment ** 2 - 1 / control ** 2)) / (1 / treatment + 1 / control) ** 1.5
}

/**
 * From how many units of two arms an interval that takes the mean for normal holds its level, also at each of many
 * looks: the skewness of the difference is at most 0.15, that of each arm's mean at most 0.5, and each arm has 100
 * units. Below it an estimate shows no such interval. The bounds are of simulations over skewed units (`bench
 * rollout`): equal arms cancel each other's skewness, at 90/10 they do not. The skewness of a mean is that of a unit
 * over √n (Boos and Hughes-Oliver, The American Statistician 54, 2000).
 *
 * @param skewness of a unit
 * @param share of the treatment among the units, in (0, 1)
 * @returns units of both arms; Infinity where the skewness is no number, as where all units are alike
 */
export function requiredUnits(skewness: number, share: number): number {
  if (!Number.isFinite(skewness)) return Number.POSITIVE_INFINITY
  const smaller = Math.min(share, 1 - share)
  const ofDifference = Math.abs(skewnessOfDifference(1, { control: 1 - share, treatment: share }))
  return Math.ceil(Math.max(minArm / smaller, (skewness / maxArmSkewness) ** 2 / smaller, ((skewness * ofDifference) / maxSkewness) ** 2))
}

const minArm = 100
const maxSkewness = 0.15
const maxArmSkewness = 0.5
