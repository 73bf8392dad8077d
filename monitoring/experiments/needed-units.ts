import type { MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import { requiredUnits, pooledSkewness } from '../../statistics/required-units.ts'
import { hasDenominator } from './plan-units.ts'
import type { UnitSums } from './unit-sums.ts'
import { linearized } from './unit-sums.ts'

/** What a comparison waits for. */
export interface NeededUnits {
  readonly units: number
  readonly needed: number
  readonly why: string
}

const minUnits = 100
const minOfKind = 10

/**
 * Whether two arms are large enough for the asymptotic methods: each with 100 units, of a ratio 100 by the weight of
 * their denominators, of a share 10 of each kind, and together as many as the skewness of their units asks for. A
 * quantile needs no such methods.
 *
 * @returns null: they are
 */
export function neededUnits(metric: MetricSpec, control: UnitSums, treatment: UnitSums): NeededUnits | null {
  const arms = [control, treatment]
  const least = Math.min(control.n, treatment.n)
  if (least < minUnits) return { units: least, needed: minUnits, why: 'in the smaller variant' }
  if (metric.kind === 'quantile') return null
  if (metric.kind === 'proportion' && metric.per === 'unit') {
    const rarest = Math.min(...arms.map(({ n, nonZero }) => Math.min(nonZero, n - nonZero)))
    // a share that no unit contradicts is no estimate yet
    if (rarest < minOfKind) return { units: rarest, needed: minOfKind, why: 'of the rarer kind in a variant' }
  }
  const isRatio = hasDenominator(metric)
  if (isRatio && arms.some(({ mean }) => !((mean[1] ?? 0) > 0)))
    return { units: 0, needed: 1, why: 'with a denominator other than 0 in a variant' }
  if (isRatio) {
    // without this, units of opposite signs that have most of the rows would pass the check of skewness
    const weight = Math.floor(Math.min(...arms.map(equalUnits)))
    if (weight < minUnits)
      return { units: weight, needed: minUnits, why: 'of equal weight in a variant, as a few units have most of the denominator' }
  }
  const moments = arms.map((arm) => {
    const { sums, thirdY } = linearized(arm, isRatio)
    return { n: arm.n, squares: sums.squaresY, cubes: thirdY }
  })
  if (moments.every(({ squares }) => squares === 0)) return { units: 0, needed: 1, why: 'whose value differs from that of others' }
  const total = control.n + treatment.n
  const needed = Math.ceil(requiredUnits(pooledSkewness(moments), treatment.n / total))
  if (total >= needed) return null
  return { units: total, needed, why: 'in both variants, as a few units have most of the total; a winsorized metric needs fewer' }
}

/** So many units of equal denominators would weigh as these do. Source: Kish, Survey Sampling (1965), section 11.7. */
function equalUnits({ n, mean, cross }: UnitSums): number {
  const [denominator, squares] = [mean[1] as number, cross[mean.length + 1] as number]
  return n / (1 + squares / n / denominator ** 2)
}
