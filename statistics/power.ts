import { criticalMultiple } from './confidence-sequence.ts'
import { normalQuantile, normalSurvival } from './distributions.ts'

/** Units of both arms. */
export interface ArmSizes {
  readonly control: number
  readonly treatment: number
}

export interface PowerOptions {
  readonly alpha?: number
  /**
   * Of the confidence sequence that is looked at until then: its power at that number of units alone, which looks
   * before can only raise. Without it the test is that of a fixed horizon.
   */
  readonly tightestAt?: number
}

/**
 * The power of the two-sided test of a difference.
 *
 * @param effect the true difference over the standard deviation of a unit: Cohen's d of means, also of linearized
 *   ratios and of metrics adjusted for covariates; h of two proportions
 */
export function power(effect: number, n: ArmSizes, options: PowerOptions = {}): number {
  const shift = effect * Math.sqrt(1 / (1 / n.control + 1 / n.treatment))
  const critical = criticalAt(n.control + n.treatment, options)
  return normalSurvival(critical - shift) + normalSurvival(critical + shift)
}

/** The least effect size that the test finds with this power. */
export function detectableEffect(n: ArmSizes, wanted: number, options: PowerOptions): number {
  let [low, high] = [0, 1]
  while (power(high, n, options) < wanted && high < 1e6) high *= 2
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2
    if (power(middle, n, options) < wanted) low = middle
    else high = middle
  }
  return high
}

/**
 * The units of both arms together from which the test finds the effect with this power.
 *
 * @param share of the treatment among them
 * @returns Infinity for an effect of 0
 */
export function unitsNeeded(effect: number, share: number, wanted = 0.8, options: PowerOptions = {}): number {
  const reaches = (n: number): boolean => power(Math.abs(effect), { control: n * (1 - share), treatment: n * share }, options) >= wanted
  let [low, high] = [0, 2]
  while (!reaches(high)) {
    if (high > 1e15) return Number.POSITIVE_INFINITY
    ;[low, high] = [high, 2 * high]
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (reaches(middle)) high = middle
    else low = middle
  }
  return high
}

function criticalAt(n: number, { alpha = 0.05, tightestAt }: PowerOptions): number {
  return tightestAt === undefined ? normalQuantile(1 - alpha / 2) : criticalMultiple(n, { alpha, tightestAt })
}
