import type { MetricSpec } from '../../kernel/experiment-spec.ts'
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

/** The skewness of a difference of means up to which its distribution counts as normal. */
const maxSkewness = 0.1

/**
 * Whether arms are large enough for the asymptotic methods: each with 100 units, of a share 10 of each kind, and a
 * difference that is not skewed. The skewness of a mean falls with the root of n. Source: the rule is that of Kohavi et
 * al., KDD 2014 ("Seven rules of thumb"), n = 355 s², for the difference in place of each mean.
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
  const isRatio = metric.kind === 'ratio' || metric.per === 'exposure'
  if (isRatio && arms.some(({ mean }) => !((mean[1] ?? 0) !== 0)))
    return { units: 0, needed: 1, why: 'with a denominator other than 0 in a variant' }
  const moments = arms.map((arm) => {
    const { sums, thirdY } = linearized(arm, isRatio)
    return { variance: sums.squaresY / arm.n ** 2, third: thirdY / arm.n ** 3 }
  }) as [Moments, Moments]
  const variance = moments[0].variance + moments[1].variance
  if (variance === 0) return null
  const skewness = Math.abs(moments[1].third - moments[0].third) / variance ** 1.5
  if (skewness <= maxSkewness) return null
  const needed = Math.ceil(least * (skewness / maxSkewness) ** 2)
  return { units: least, needed, why: 'in the smaller variant, as a few units have most of the total; a winsorized metric needs fewer' }
}

interface Moments {
  readonly variance: number
  readonly third: number
}
