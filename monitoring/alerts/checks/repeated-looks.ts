import { parseDuration } from '../../../kernel/values/duration.ts'

/**
 * The level of each evaluation of a monitor that makes `alpha` the chance of a false alarm in a week, by Bonferroni.
 * Windows that overlap are alike, so the true chance is smaller.
 */
export function alphaOfEvaluation(alpha: number, { everyMicros }: { readonly everyMicros: number }): number {
  return Math.min(1, (alpha * everyMicros) / parseDuration('7d'))
}
