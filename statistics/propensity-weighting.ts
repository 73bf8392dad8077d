import type { BanditArm } from './thompson.ts'

/** The units of one arm that were assigned while the shares did not change. */
export interface ArmPeriod {
  /** The share of the arm then, above 0: the propensity of its units. */
  readonly propensity: number
  readonly n: number
  readonly sum: number
  /** Σ y². */
  readonly squares: number
}

/**
 * The mean of an arm whose share followed earlier results, as if its share had never changed. The plain mean is biased
 * then: an arm that began badly by chance gets few units that would correct it. Each unit counts by the inverse of its
 * propensity, augmented by what earlier periods knew of the arm. Its errors are a martingale, so that
 * `asymptoticSequence` takes it. Source: Hadad, Hirshberg, Zhan, Wager and Athey, PNAS 118 (2021).
 *
 * Estimates of two arms are asymptotically uncorrelated: `difference` takes them as they are.
 *
 * @param periods in the order of time; `arm` is null where the arm had no share, and `all` counts the units of all arms
 * @param weighting `equal` has no bias, and suits shares with a floor. `stabilized` weighs periods by √propensity, the
 *   constant allocation of the paper: near normal also where shares fall towards 0, with a small bias in small samples
 */
export function propensityWeightedMean(
  periods: readonly { readonly arm: ArmPeriod | null; readonly all: number }[],
  weighting: 'equal' | 'stabilized' = 'equal',
): BanditArm {
  let before = { n: 0, sum: 0 }
  const parts: { readonly arm: ArmPeriod; readonly all: number; readonly weight: number; readonly guess: number }[] = []
  for (const { arm, all } of periods) {
    if (arm === null || all === 0) continue
    const known = before.n > 0 ? before : arm
    const guess = known.n > 0 ? known.sum / known.n : 0
    parts.push({ arm, all, weight: weighting === 'equal' ? 1 : Math.sqrt(arm.propensity), guess })
    before = { n: before.n + arm.n, sum: before.sum + arm.sum }
  }
  const total = parts.reduce((sum, { all, weight }) => sum + weight * all, 0)
  // the score of a unit is guess + (y - guess) / propensity in the arm, and guess elsewhere
  const scores = ({ arm, all, guess }: (typeof parts)[number]): number => all * guess + (arm.sum - arm.n * guess) / arm.propensity
  const mean = parts.reduce((sum, part) => sum + part.weight * scores(part), 0) / total
  const squares = parts.reduce((sum, { arm, all, weight, guess }) => {
    const outside = (all - arm.n) * (guess - mean) ** 2
    const [slope, level] = [1 / arm.propensity, guess - mean - guess / arm.propensity]
    const inside = slope * slope * arm.squares + 2 * slope * level * arm.sum + arm.n * level * level
    return sum + weight * weight * (outside + Math.max(0, inside))
  }, 0)
  return { n: before.n, mean, varianceOfMean: squares / total ** 2 }
}
