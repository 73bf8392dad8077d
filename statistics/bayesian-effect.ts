import { normalCdf, normalDensity } from './distributions.ts'
import { criticalValue } from './interval.ts'

/** A normal prior of an effect, in its unit. */
interface EffectPrior {
  readonly mean: number
  readonly deviation: number
}

export interface BayesianEffect {
  /** Mean and standard deviation of the posterior, which is normal. */
  readonly value: number
  readonly deviation: number
  /** Limits of the credible interval. */
  readonly low: number
  readonly high: number
  /** The probability that the treatment is better than the control. */
  readonly chanceToWin: number
  /** The expected loss of choosing an arm, in the unit of the effect. */
  readonly risk: { readonly control: number; readonly treatment: number }
}

interface EffectOptions {
  readonly alpha?: number
  /** null: a flat prior. */
  readonly prior?: EffectPrior | null
  readonly better?: 'higher' | 'lower'
}

/**
 * The posterior of an effect with a normal likelihood and a normal prior. The risk of an arm is the mean of what it
 * loses where the other one is better. Sources: Gelman and others, Bayesian Data Analysis (2013), section 2.5; the risk
 * is the expected loss of Stucchio, "Bayesian A/B Testing at VWO" (2015).
 *
 * It is a statement given the prior: it bounds no error rate under repeated looks.
 */
export function bayesianEffect(
  value: number,
  standardError: number,
  { alpha = 0.05, prior = null, better = 'higher' }: EffectOptions,
): BayesianEffect {
  const priorPrecision = prior === null ? 0 : 1 / prior.deviation ** 2
  const precision = 1 / standardError ** 2 + priorPrecision
  const mean = (value / standardError ** 2 + (prior === null ? 0 : prior.mean * priorPrecision)) / precision
  const deviation = Math.sqrt(1 / precision)
  const half = criticalValue(alpha) * deviation
  const z = mean / deviation
  // E max(0, X) and E max(0, -X) of X ~ N(mean, deviation²)
  const gain = deviation * (normalDensity(z) + z * normalCdf(z))
  const loss = deviation * (normalDensity(z) - z * normalCdf(-z))
  const isHigher = better === 'higher'
  return {
    value: mean,
    deviation,
    low: mean - half,
    high: mean + half,
    chanceToWin: normalCdf(isHigher ? z : -z),
    risk: isHigher ? { control: gain, treatment: loss } : { control: loss, treatment: gain },
  }
}
