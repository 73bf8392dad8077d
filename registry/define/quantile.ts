import type { Aggregate, AggregateOptions } from './aggregate.ts'
import { windowed } from './aggregate.ts'
import type { StatedValue } from './t.ts'

/** The default relative error. */
const defaultError = 0.01

export interface QuantileOptions {
  /** The maximum relative error of the answer, from 0.001 to 0.2. Default: 0.01, which is one per cent. */
  readonly error?: number
}

/**
 * The `q`-quantile of the non-null values in the window: the value with floor(q * (n - 1)) smaller values, within the
 * relative `error`. It is computed with a DDSketch, which may confuse values more than 10^19 times smaller than the
 * greatest of their sign. Null if there are no values, NaN if one is NaN. Quantiles with the same column and error
 * share one sketch.
 *
 * @param q between 0 and 1, such as 0.5 for the median
 * @example quantile('delay', 0.9, '24h', { error: 0.02 })
 */
export function quantile<
  const C extends string,
  const D extends StatedValue | undefined = undefined,
  R extends boolean = false,
  const W extends string | null = null,
>(
  column: C,
  q: number,
  window: string,
  options?: AggregateOptions<D, R, W> & QuantileOptions,
): Aggregate<'quantile', NoInfer<C>, NoInfer<D>, NoInfer<R>, NoInfer<W>> {
  return Object.freeze({ ...windowed('quantile', column, window, options, ['error']), quantile: q, error: options?.error ?? defaultError })
}
