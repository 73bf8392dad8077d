import { studentQuantile } from './distributions.ts'
import { type Estimate, criticalValue, wilson } from './interval.ts'

/** The least and greatest probability that log loss takes; scikit-learn's, the spacing of doubles at 1. */
const least = 2 ** -52

/** -ln(probability given to what happened), of one row. */
export function surprise(probability: number, label: boolean): number {
  return -Math.log(Math.min(1 - least, Math.max(least, label ? probability : 1 - probability)))
}

export interface Confusion {
  readonly truePositives: number
  readonly falsePositives: number
  readonly trueNegatives: number
  readonly falseNegatives: number
}

/** Counts decisions `probability >= threshold` by what came of them. */
export function confusion(probabilities: readonly number[], labels: readonly boolean[], threshold: number): Confusion {
  const counts = { truePositives: 0, falsePositives: 0, trueNegatives: 0, falseNegatives: 0 }
  for (const [i, p] of probabilities.entries()) {
    if (p >= threshold) counts[labels[i] === true ? 'truePositives' : 'falsePositives']++
    else counts[labels[i] === true ? 'falseNegatives' : 'trueNegatives']++
  }
  return counts
}

/**
 * The interval of a mean when rows of one entity depend on each other: the jackknife that leaves out one entity after
 * the other, which knows how far an entity with most of the rows moves the mean, and Student's quantile with as many
 * degrees of freedom as entities of equal size would weigh as these do, less one. `n` is the number of entities. NaN
 * limits if one entity has all rows. Source: Bell and McCaffrey, Survey Methodology 28 (2002); Kish, Survey Sampling
 * (1965), for the weight of unequal entities.
 *
 * @param entities by entity, the sum of its values and the number of its rows
 */
export function clusteredMean(entities: readonly { readonly sum: number; readonly rows: number }[], alpha = 0.05): Estimate {
  const rows = entities.reduce((total, entity) => total + entity.rows, 0)
  const value = entities.reduce((total, entity) => total + entity.sum, 0) / rows
  const n = entities.length
  const squares = entities.reduce((total, entity) => total + movedBy(entity.sum - value * entity.rows, rows - entity.rows) ** 2, 0)
  const degrees = Math.max(1, effectiveEntities(entities) - 1)
  const half = studentQuantile(1 - alpha / 2, degrees) * Math.sqrt((squares * (n - 1)) / n)
  return { value, low: value - half, high: value + half, n }
}

/** How far an entity moves a mean of `others` rows. NaN without other rows, where rounding would leave an infinity. */
export function movedBy(residual: number, others: number): number {
  return others === 0 ? Number.NaN : residual / others
}

/** So many entities of equal size would weigh as these do. Source: Kish, Survey Sampling (1965), section 11.7. */
export function effectiveEntities(entities: readonly { readonly rows: number }[]): number {
  const rows = entities.reduce((total, entity) => total + entity.rows, 0)
  return rows ** 2 / entities.reduce((total, entity) => total + entity.rows ** 2, 0)
}

/**
 * How far the sums of entities are from what their rows let expect of {@link clusteredMean}: the second and third
 * powers of these residuals, in all. Sums of several entities give the same as these entities, but for chance.
 */
export function residualPowers(entities: readonly { readonly sum: number; readonly rows: number }[]): {
  readonly squares: number
  readonly cubes: number
} {
  const rows = entities.reduce((total, entity) => total + entity.rows, 0)
  const value = entities.reduce((total, entity) => total + entity.sum, 0) / rows
  let [squares, cubes] = [0, 0]
  for (const { sum, rows: own } of entities) {
    const residual = sum - value * own
    squares += residual ** 2
    cubes += residual ** 3
  }
  return { squares, cubes }
}

/**
 * The interval of a share when rows of one entity depend on each other: Wilson's, of the number of independent rows
 * that have the same variance. Rows never count for more than one. Source: Korn and Graubard, Survey Methodology 24
 * (1998).
 *
 * @param entities by entity, the number of its rows that count and of all its rows
 */
export function clusteredShare(entities: readonly { readonly sum: number; readonly rows: number }[], alpha = 0.05): Estimate {
  const rows = entities.reduce((total, entity) => total + entity.rows, 0)
  const { value, high, n } = clusteredMean(entities, alpha)
  const variance = ((high - value) / criticalValue(alpha)) ** 2
  // at 0 and 1 nothing varies, so the entities are all that is known to be independent
  const effective = variance > 0 ? Math.min(rows, (value * (1 - value)) / variance) : effectiveEntities(entities)
  const { low, high: upper } = wilson(value * effective, effective, alpha)
  return { value, low, high: upper, n }
}
