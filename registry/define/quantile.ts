import type { Aggregate, AggregateOptions } from './aggregate.ts'
import { windowed } from './aggregate.ts'
import type { StatedValue } from './t.ts'

/** How far from the exact quantile the answer may be, as a part of it, where nothing is said. */
const defaultError = 0.01

export interface QuantileOptions {
  /**
   * How far from the exact value the answer may be, as a part of it: from 0.001 to 0.2. Absent: 0.01, which is one per
   * cent.
   */
  readonly error?: number
}

/**
 * The `q`-quantile of the non-null values in the window, by a DDSketch: the value of which floor(q * (n - 1)) are
 * smaller, to within the relative `error`. Values more than 10^19 times smaller than the greatest of their sign may be
 * taken for each other. Null where there are none, NaN where one is NaN. Quantiles of one column and error share one
 * sketch.
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
