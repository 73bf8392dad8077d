import type { ManyName } from '../../kernel/view-spec.ts'
import type { Aggregate, AggregateOptions } from './aggregate.ts'
import { windowed } from './aggregate.ts'
import type { StatedValue } from './t.ts'

export interface CategoryOptions<D, R, W = null> extends AggregateOptions<D, R, W> {
  /**
   * How many distinct values there may be in the window, 1 to 10,000; with more the feature is an error. Absent: 1,000.
   */
  readonly cap?: number
}

export const defaultCap = 1_000

type ManyOf<A extends ManyName, Options> = <
  const C extends string,
  const D extends StatedValue | undefined = undefined,
  R extends boolean = false,
  const W extends string | null = null,
>(
  column: C,
  n: number,
  window: string,
  options?: Options & AggregateOptions<D, R, W>,
) => Aggregate<A, NoInfer<C>, NoInfer<D>, NoInfer<R>, NoInfer<W>>

/**
 * The values of the window's `n` oldest rows, the oldest first, nulls among them. Null where there are no rows.
 *
 * @example firstN('page', 3, '1h')
 */
export const firstN: ManyOf<'firstN', {}> = (column, n, window, options) =>
  Object.freeze({ ...windowed('firstN', column, window, options), n })

/**
 * The values of the window's `n` newest rows, the newest last, nulls among them. Null where there are no rows.
 *
 * @example lastN('merchant', 5, '24h', { default: [] })
 */
export const lastN: ManyOf<'lastN', {}> = (column, n, window, options) =>
  Object.freeze({ ...windowed('lastN', column, window, options), n })

/**
 * The `n` values that came most often in the window, the most frequent first, the lesser of two that came equally
 * often. Null where there are none.
 *
 * @example topK('merchant', 3, '24h', { cap: 5000 })
 */
export const topK: ManyOf<'topK', { readonly cap?: number }> = (column, n, window, options) =>
  Object.freeze({ ...windowed('topK', column, window, options, ['cap']), n, cap: options?.cap ?? defaultCap })

/**
 * How often each value came in the window: a Map from its text to a count, in the order of the texts' bytes. Null where
 * there are none.
 *
 * @example histogram('status', '24h', { cap: 100 })
 */
export function histogram<
  const C extends string,
  const D extends StatedValue | undefined = undefined,
  R extends boolean = false,
  const W extends string | null = null,
>(column: C, window: string, options?: CategoryOptions<D, R, W>): Aggregate<'histogram', NoInfer<C>, NoInfer<D>, NoInfer<R>, NoInfer<W>> {
  return Object.freeze({ ...windowed('histogram', column, window, options, ['cap']), cap: options?.cap ?? defaultCap })
}
