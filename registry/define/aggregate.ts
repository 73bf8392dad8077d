import type { ColumnType, NumberKind, ScalarType, ValueOf } from '../../kernel/values/value-type.ts'
import type { AggregateName, AggregateParameters, CountName, ManyName } from '../../kernel/specs/view-spec.ts'
import { checkOptions } from './definition.ts'
import type { StatedValue, Types } from './t.ts'

/** One feature of a view, as made by `count`, `mean`, `last` and similar functions. Durations are still text. */
export interface Aggregate<
  A extends AggregateName = AggregateName,
  C extends string | null = string | null,
  D extends StatedValue | undefined = StatedValue | undefined,
  R extends boolean = boolean,
  W extends string | null = string | null,
> extends AggregateParameters {
  readonly aggregate: A
  /** null: the aggregate counts rows. */
  readonly column: C
  /** null: the latest value, without a window; `lifetime`: all time. */
  readonly window: string | null
  /** A bool column that selects the rows; null: all rows. */
  readonly where: W
  readonly hop: string | null
  readonly ttl: string | null
  readonly default: D
  readonly required: R
}

/** A count is never missing, so it has no default. */
export interface CountOptions<R, W = null> {
  /** Refuses an entity whose value is missing. */
  readonly required?: R
  /** The step by which the window's tail moves, as in `'5m'`. See kernel/states/hop.ts for the default. */
  readonly hop?: string
  /** A bool column, of the source or derived. The feature ignores rows where it is false or null. */
  readonly where?: W
}
export interface AggregateOptions<D, R, W = null> extends CountOptions<R, W> {
  /** Replaces a missing value, in training and in serving. */
  readonly default?: D
}
export interface LatestOptions<D, R, W = null> {
  readonly default?: D
  readonly required?: R
  /** The maximum age of the row, as in `'2d'`. */
  readonly ttl?: string
  /** A bool column. The feature uses the latest row where it is true. */
  readonly where?: W
}

/** The columns with a type that the aggregate accepts. */
type ColumnsFor<A extends AggregateName, C extends Types> = {
  [K in keyof C & string]: ResultType<A, C[K]> extends never ? never : K
}[keyof C & string]

type CategoryKind = 'string' | 'bool' | 'int32' | 'int64'

/**
 * The type of an aggregate over a column type; never if the aggregate does not accept it. The compiler's counterpart of
 * kernel/result-type.ts.
 */
export type ResultType<A extends AggregateName, V extends ColumnType> = A extends ManyName
  ? ManyType<A, V>
  : A extends 'count' | (V extends ScalarType ? 'distinctCount' : never)
    ? { readonly kind: 'int32' }
    : A extends 'first' | 'last'
      ? V
      : A extends 'min' | 'max'
        ? V['kind'] extends NumberKind | 'timestamp'
          ? V
          : never
        : A extends 'sum'
          ? V['kind'] extends 'int64'
            ? V
            : V['kind'] extends NumberKind
              ? { readonly kind: 'float64' }
              : never
          : A extends 'distinctCount'
            ? never
            : V['kind'] extends NumberKind
              ? { readonly kind: 'float64' }
              : never

type ManyType<A extends ManyName, V extends ColumnType> = V extends ScalarType
  ? A extends 'firstN' | 'lastN'
    ? { readonly kind: 'list'; readonly of: V; readonly nulls: true }
    : A extends 'lastDistinctN'
      ? { readonly kind: 'list'; readonly of: V; readonly nulls: false }
      : V['kind'] extends CategoryKind
        ? A extends 'topK'
          ? { readonly kind: 'list'; readonly of: V; readonly nulls: false }
          : { readonly kind: 'counts' }
        : never
  : never

/** The columns that can be a `where`. */
type WhereOver<C extends Types> = { [K in keyof C & string]: C[K]['kind'] extends 'bool' ? K : never }[keyof C & string] | null

/** All aggregates that these columns allow, with the defaults that their types allow. */
export type AggregateOver<C extends Types> =
  | Aggregate<'count', null | (keyof C & string), undefined, boolean, WhereOver<C>>
  | Aggregate<'distinctCount', ColumnsFor<'distinctCount', C>, undefined, boolean, WhereOver<C>>
  | {
      [A in Exclude<AggregateName, CountName>]: {
        [K in ColumnsFor<A, C>]: Aggregate<A, K, ValueOf<ResultType<A, C[K]>> | undefined, boolean, WhereOver<C>>
      }[ColumnsFor<A, C>]
    }[Exclude<AggregateName, CountName>]

/**
 * The number of rows in the window `[floor(t - window, hop), t]`, or of all rows with `'lifetime'`. With a column, it
 * counts the rows where the column is not null. Never null.
 *
 * @example count('1h')
 * @example count('delay', '6h', { where: 'late' })
 * @example count('lifetime')
 */
export function count<R extends boolean = false, const W extends string | null = null>(
  window: string,
  options?: CountOptions<R, W>,
): Aggregate<'count', null, undefined, NoInfer<R>, NoInfer<W>>
export function count<const C extends string, R extends boolean = false, const W extends string | null = null>(
  column: C,
  window: string,
  options?: CountOptions<R, W>,
): Aggregate<'count', NoInfer<C>, undefined, NoInfer<R>, NoInfer<W>>
export function count(
  first: string,
  second?: string | CountOptions<boolean, string | null>,
  third?: CountOptions<boolean, string | null>,
): Aggregate {
  return typeof second === 'string' ? windowed('count', first, second, third) : windowed('count', null, first, second)
}

/**
 * The number of distinct non-null values of the column in the window. Never null. Up to 512 it is exact, except that
 * two texts with the same 64-bit hash count once. Above that it is a HyperLogLog estimate with a standard error of 1.6
 * %: 95 of 100 answers are within 3.3 %.
 *
 * @example distinctCount('destination', '24h')
 */
export function distinctCount<const C extends string, R extends boolean = false, const W extends string | null = null>(
  column: C,
  window: string,
  options?: CountOptions<R, W>,
): Aggregate<'distinctCount', NoInfer<C>, undefined, NoInfer<R>, NoInfer<W>> {
  return windowed('distinctCount', column, window, options)
}

export type Windowed<A extends AggregateName, Options = unknown> = <
  const C extends string,
  const D extends StatedValue | undefined = undefined,
  R extends boolean = false,
  const W extends string | null = null,
>(
  column: C,
  window: string,
  options?: AggregateOptions<D, R, W> & Options,
) => Aggregate<A, NoInfer<C>, NoInfer<D>, NoInfer<R>, NoInfer<W>>

/**
 * The exact sum of the non-null values in the window. The sum of int64 values is int64; other numbers give float64.
 * Null if there are none.
 */
export const sum: Windowed<'sum'> = (column, window, options) => windowed('sum', column, window, options)

/**
 * The mean of the non-null values in the window: their exact sum divided by their count, rounded once. Null if there
 * are none.
 */
export const mean: Windowed<'mean'> = (column, window, options) => windowed('mean', column, window, options)

/** The least non-null value in the window. Null if there are none. */
export const min: Windowed<'min'> = (column, window, options) => windowed('min', column, window, options)

/** The greatest non-null value in the window. Null if there are none. */
export const max: Windowed<'max'> = (column, window, options) => windowed('max', column, window, options)

/** The value of the oldest visible row in the window, which may be null. Null if there are no rows. */
export const first: Windowed<'first'> = (column, window, options) => windowed('first', column, window, options)

/**
 * The value of the newest visible row, which may be null. Without a window, it is the newest row of all time, or one at
 * most `ttl` old. With a window, it is the newest row in the window.
 *
 * @example last('delay')
 * @example last('delay', { ttl: '2d' })
 * @example last('delay', '6h', { default: 0 })
 */
export function last<
  const C extends string,
  const D extends StatedValue | undefined = undefined,
  R extends boolean = false,
  const W extends string | null = null,
>(column: C, options?: LatestOptions<D, R, W>): Aggregate<'last', NoInfer<C>, NoInfer<D>, NoInfer<R>, NoInfer<W>>
export function last<
  const C extends string,
  const D extends StatedValue | undefined = undefined,
  R extends boolean = false,
  const W extends string | null = null,
>(column: C, window: string, options?: AggregateOptions<D, R, W>): Aggregate<'last', NoInfer<C>, NoInfer<D>, NoInfer<R>, NoInfer<W>>
export function last(
  column: string,
  second?: string | LatestOptions<StatedValue | undefined, boolean, string | null>,
  third?: AggregateOptions<StatedValue | undefined, boolean, string | null>,
): Aggregate {
  if (typeof second === 'string') return windowed('last', column, second, third)
  checkOptions(second, `The aggregate last("${column}")`, ['ttl', 'where', 'default', 'required'])
  return Object.freeze({
    aggregate: 'last',
    column,
    window: null,
    where: second?.where ?? null,
    hop: null,
    ttl: second?.ttl ?? null,
    default: second?.default,
    required: second?.required ?? false,
  })
}

export function windowed<
  A extends AggregateName,
  C extends string | null,
  D extends StatedValue | undefined,
  R extends boolean,
  W extends string | null,
>(
  aggregate: A,
  column: C,
  window: string,
  options: AggregateOptions<D, R, W> | undefined,
  own: readonly string[] = [],
): Aggregate<A, C, D, R, W> {
  const what = `The aggregate ${aggregate}(${column === null ? '' : `"${column}", `}"${window}")`
  checkOptions(options, what, ['where', 'hop', 'default', 'required', ...own])
  return Object.freeze({
    aggregate,
    column,
    window,
    where: (options?.where ?? null) as W,
    hop: options?.hop ?? null,
    ttl: null,
    default: options?.default as D,
    required: (options?.required ?? false) as R,
  })
}
