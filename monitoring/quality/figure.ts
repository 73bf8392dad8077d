import type { Estimate } from '../../statistics/interval.ts'

/** One figure of quality with its 95 % interval. */
export interface Figure {
  /** null: see `reason`. */
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
  /** The rows behind it. */
  readonly n: number
  /** Why there is no value. */
  readonly reason: string | null
  /**
   * How the interval takes rows of one entity: `entities` lets them depend on each other; `rows` takes all rows for
   * independent, which makes it too narrow where entities repeat.
   */
  readonly interval: 'entities' | 'rows'
  /** Only where it is asked for. */
  readonly spread?: Spread
}

/** How the entities behind a figure share in it. */
export interface Spread {
  /** So many entities of equal size would weigh as these do. */
  readonly entities: number
  /** How far each is from what its rows let expect: Σ residual², Σ residual³. null: it is not known. */
  readonly residuals: { readonly squares: number; readonly cubes: number } | null
}

/** Fewer rows give no figure: its interval would say nothing. */
export const minRows = 30

export function figureOf({ value, low, high }: Estimate, n: number, interval: Figure['interval'], spread?: Spread): Figure {
  if (!Number.isFinite(value)) return noFigure('it cannot be computed of these rows', n)
  const figure = { value, low: finite(low), high: finite(high), n, reason: null, interval }
  return spread === undefined ? figure : { ...figure, spread }
}

/** A figure that is never below 0, nor above `most`; by symmetry its interval may be. */
export function notNegative(figure: Figure, most = Number.POSITIVE_INFINITY): Figure {
  const { low, high } = figure
  return { ...figure, low: low === null ? null : Math.max(0, low), high: high === null ? null : Math.min(most, high) }
}

export function noFigure(reason: string, n: number): Figure {
  return { value: null, low: null, high: null, n, reason, interval: 'rows' }
}

export function tooFewRows(names: readonly string[], rows: number): Record<string, Figure> {
  const reason = `${rows} mature ${rows === 1 ? 'prediction has' : 'predictions have'} an outcome, and ${minRows} are needed`
  return Object.fromEntries(names.map((name) => [name, noFigure(reason, rows)]))
}

function finite(limit: number): number | null {
  return Number.isFinite(limit) ? limit : null
}
