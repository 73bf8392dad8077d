import type { Windowed } from './aggregate.ts'
import { windowed } from './aggregate.ts'

export interface SpreadOptions {
  /**
   * Divides by n - 1, to estimate the variance of a population from a sample in the window. Null if there is only one
   * value.
   */
  readonly sample?: boolean
}

/**
 * The variance of the non-null values in the window, from exact sums, rounded once. It divides by n unless `sample` is
 * set. Null if there are no values, NaN if one is NaN or infinite.
 *
 * @example variance('delay', '24h', { sample: true })
 */
export const variance: Windowed<'variance', SpreadOptions> = (column, window, options) =>
  Object.freeze({ ...windowed('variance', column, window, options, ['sample']), ...sampled(options) })

/**
 * The standard deviation of the non-null values in the window: the square root of their `variance`, rounded once.
 *
 * @example stddev('delay', '24h')
 */
export const stddev: Windowed<'stddev', SpreadOptions> = (column, window, options) =>
  Object.freeze({ ...windowed('stddev', column, window, options, ['sample']), ...sampled(options) })

function sampled(options: SpreadOptions | undefined): { readonly sample?: true } {
  return options?.sample === true ? { sample: true } : {}
}
