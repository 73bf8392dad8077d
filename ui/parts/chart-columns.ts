import type { Series } from '../../serving/dashboard/contract/answer.ts'

/** How a chart draws its series. */
export type ChartKind = 'line' | 'step' | 'bar'

/** The points of all series over one axis. */
export interface ChartColumns {
  readonly t: readonly number[]
  readonly values: readonly (readonly (number | null)[])[]
  /** The ends of the intervals, of series that have any. */
  readonly low: readonly (readonly (number | null)[] | undefined)[]
  readonly high: readonly (readonly (number | null)[] | undefined)[]
  /** Of how many each value is, of series that say it. */
  readonly n: readonly (readonly (number | null)[] | undefined)[]
}

/** Aligns series, whose points need not be at the same places. Where a series has no point it has null. */
export function columnsOf(series: readonly Series[]): ChartColumns {
  const t = [...new Set(series.flatMap(({ points }) => points.map((point) => point.t)))].toSorted((a, b) => a - b)
  const places = new Map(t.map((each, index) => [each, index]))
  const values: (number | null)[][] = []
  const low: ((number | null)[] | undefined)[] = []
  const high: ((number | null)[] | undefined)[] = []
  const n: ((number | null)[] | undefined)[] = []
  for (const { points } of series) {
    const hasInterval = points.some((point) => point.low !== undefined)
    const column = (of: (point: Series['points'][number]) => number | null | undefined): (number | null)[] => {
      const placed = Array.from<number | null>({ length: t.length }).fill(null)
      for (const point of points) placed[places.get(point.t) ?? 0] = of(point) ?? null
      return placed
    }
    values.push(column(({ v }) => v))
    low.push(hasInterval ? column((point) => point.low) : undefined)
    high.push(hasInterval ? column((point) => point.high) : undefined)
    n.push(points.some((point) => point.n !== undefined) ? column((point) => point.n) : undefined)
  }
  return { t, values, low, high, n }
}

/**
 * The range of the horizontal axis in which no bar is cut, the first and the last one included.
 *
 * @param places in ascending order, one at least
 * @param alone the width of a single bar
 */
export function rangeAcross(places: readonly number[], alone: number): [low: number, high: number] {
  const [first = 0, last = first] = [places[0], places.at(-1)]
  const gaps = places.slice(1).map((place, i) => place - (places[i] ?? 0))
  const half = (gaps.length === 0 ? alone : Math.min(...gaps)) / 2
  return [first - half, last + half]
}

/** The places at which a series has a value. */
export function measuredPlaces({ t, values }: Pick<ChartColumns, 't' | 'values'>): readonly number[] {
  return t.filter((_, place) => values.some((own) => own[place] !== null))
}

/**
 * The range of an axis of time. If its first half has no value, it begins shortly before the first value, unless that
 * is the last one.
 *
 * @returns null for fewer than two places
 */
export function rangeOfTime(columns: Pick<ChartColumns, 't' | 'values'>): [low: number, high: number] | null {
  const [start = 0, end = start] = [columns.t[0], columns.t.at(-1)]
  if (start === end) return null
  const first = measuredPlaces(columns)[0] ?? start
  return first === end || first - start <= (end - start) / 2 ? [start, end] : [Math.max(start, first - (end - first) / 4), end]
}

/** The dashes that tell series apart without their colours. */
export const dashes: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [9, 3, 2, 3], [1, 2], [12, 4]]
