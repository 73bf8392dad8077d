import type { AdjustedArm } from '../../statistics/covariate-adjustment.ts'
import { propensityWeightedMean } from '../../statistics/propensity-weighting.ts'
import type { AllocationPeriod } from '../../registry/experiments/allocation.ts'

/** The sums of the units of one variant that came in one period. */
export interface PeriodSums {
  readonly n: number
  readonly sum: number
  readonly squares: number
}

/** Servers take new shares within a second; until then a unit may have got its variant by the shares before. */
const takenMicros = 5_000_000

/** The period by whose shares a unit got its variant: that of its exposure, or one that ended or began just then. */
export function periodIndex(periods: readonly AllocationPeriod[], exposedAt: number, arm: number, propensity: number): number {
  const at = Math.max(
    0,
    periods.findLastIndex(({ from }) => from <= exposedAt),
  )
  const near = [at, at - 1, at + 1].filter((index) => {
    const [begins, ends] = [periods[index]?.from ?? Number.POSITIVE_INFINITY, periods[index + 1]?.from ?? Number.POSITIVE_INFINITY]
    return begins <= exposedAt + takenMicros && exposedAt - takenMicros < ends
  })
  return near.find((index) => Math.abs((periods[index]?.shares[arm] ?? -1) - propensity) < 1e-6) ?? at
}

/** Sums values by period and variant. */
export function createPeriodSummer(periods: number, variants: number) {
  const sums = Array.from({ length: periods }, () => Array.from({ length: variants }, () => ({ n: 0, sum: 0, squares: 0 })))
  return {
    add(period: number, arm: number, value: number): void {
      const own = sums[period]?.[arm]
      if (own === undefined) return
      own.n++
      own.sum += value
      own.squares += value * value
    },
    sums: (): readonly (readonly PeriodSums[])[] => sums,
  }
}

/**
 * The variants as if their shares had never followed the results: a plain mean is biased then, because a variant that
 * began badly by chance gets few units that would correct it.
 *
 * @param sums by period and variant
 */
export function weightedArms(periods: readonly AllocationPeriod[], sums: readonly (readonly PeriodSums[])[]): AdjustedArm[] {
  return (periods[0]?.shares ?? []).map((_, arm) => {
    const ofArm = periods.map(({ shares }, period) => {
      const own = sums[period] ?? []
      const all = own.reduce((total, { n }) => total + n, 0)
      return { arm: { ...(own[arm] ?? { n: 0, sum: 0, squares: 0 }), propensity: shares[arm] as number }, all }
    })
    const { n, mean, varianceOfMean } = propensityWeightedMean(ofArm)
    return { n, mean, variance: varianceOfMean * n }
  })
}
