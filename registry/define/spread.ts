import type { Windowed } from './aggregate.ts'
import { windowed } from './aggregate.ts'

export interface SpreadOptions {
  /**
   * Divides by n - 1: an estimate for all those of which the window's values are a sample. Null where there is only
   * one.
   */
  readonly sample?: boolean
}

/**
 * The variance of the non-null values in the window, from exact sums, rounded once. Of the values themselves (over n),
 * unless `sample` says otherwise. Null where there are none, NaN where one is NaN or infinite.
 *
 * @example variance('delay', '24h', { sample: true })
 */
export const variance: Windowed<'variance', SpreadOptions> = (column, window, options) =>
  Object.freeze({ ...windowed('variance', column, window, options, ['sample']), ...sampled(options) })

/**
 * The standard deviation of the non-null values in the window: the root of their `variance`, rounded once.
 *
 * @example stddev('delay', '24h')
 */
export const stddev: Windowed<'stddev', SpreadOptions> = (column, window, options) =>
  Object.freeze({ ...windowed('stddev', column, window, options, ['sample']), ...sampled(options) })

function sampled(options: SpreadOptions | undefined): { readonly sample?: true } {
  return options?.sample === true ? { sample: true } : {}
}
