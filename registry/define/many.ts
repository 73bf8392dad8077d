import type { ManyName } from '../../kernel/specs/view-spec.ts'
import type { Aggregate, AggregateOptions } from './aggregate.ts'
import { windowed } from './aggregate.ts'
import type { StatedValue } from './t.ts'

export interface CategoryOptions<D, R, W = null> extends AggregateOptions<D, R, W> {
  /**
   * The maximum number of distinct values in the window, 1 to 10,000. If there are more, the feature is an error.
   * Default: 1,000.
   */
  readonly cap?: number
}

const defaultCap = 1_000

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
 * The values of the `n` oldest rows in the window, oldest first, including nulls. Null if there are no rows.
 *
 * @example firstN('page', 3, '1h')
 */
export const firstN: ManyOf<'firstN', {}> = (column, n, window, options) =>
  Object.freeze({ ...windowed('firstN', column, window, options), n })

/**
 * The values of the `n` newest rows in the window, newest last, including nulls. Null if there are no rows.
 *
 * @example lastN('merchant', 5, '24h', { default: [] })
 */
export const lastN: ManyOf<'lastN', {}> = (column, n, window, options) =>
  Object.freeze({ ...windowed('lastN', column, window, options), n })

/**
 * The `n` distinct non-null values that occurred last in the window. Each stands where its newest row does, newest
 * last. Null if there are none.
 *
 * @example lastDistinctN('merchant', 5, '24h', { default: [] })
 */
export const lastDistinctN: ManyOf<'lastDistinctN', {}> = (column, n, window, options) =>
  Object.freeze({ ...windowed('lastDistinctN', column, window, options), n })

/**
 * The `n` most frequent values in the window, most frequent first. Of two equally frequent values, the lesser comes
 * first. Null if there are none.
 *
 * @example topK('merchant', 3, '24h', { cap: 5000 })
 */
export const topK: ManyOf<'topK', { readonly cap?: number }> = (column, n, window, options) =>
  Object.freeze({ ...windowed('topK', column, window, options, ['cap']), n, cap: options?.cap ?? defaultCap })

/**
 * The number of occurrences of each value in the window: a Map from the value's text to its count, in the byte order of
 * the texts. Null if there are none.
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
