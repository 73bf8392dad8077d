import { type Markup, element } from './markup.ts'
import { linearScale, shortNumber, ticks } from './scale.ts'

/** A value of a series, with its interval if it has one. */
export interface SeriesPoint {
  /** Epoch microseconds. */
  readonly at: number
  /** null: a gap, which is not a zero. */
  readonly value: number | null
  readonly low?: number | undefined
  readonly high?: number | undefined
}

const [width, height, left, right, top, bottom] = [560, 160, 52, 8, 8, 22]

/** A line over time with the band of its intervals. A gap interrupts the line; a point between gaps has a whisker. */
export function seriesChart(name: string, points: readonly SeriesPoint[]): Markup {
  const known = points.flatMap((point) => (point.value === null ? [] : [{ ...point, value: point.value }]))
  const x = linearScale(
    points.map(({ at }) => at),
    left,
    width - right,
  )
  const values = known.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value])
  const y = linearScale(values, height - bottom, top)
  const place = (at: number, value: number): string => `${x.position(at).toFixed(1)},${y.position(value).toFixed(1)}`
  const runs = withoutGaps(points)
  const bands = runs.map((run) => {
    const [only, ...others] = run
    if (only !== undefined && others.length === 0) return whisker(only)
    const upper = run.map(({ at, value, high }) => place(at, high ?? value))
    const lower = run.map(({ at, value, low }) => place(at, low ?? value)).toReversed()
    return element('polygon', { class: 'band', points: [...upper, ...lower].join(' ') })
  })
  function whisker({ at, value, low = value, high = value }: KnownPoint): Markup {
    const [middle, upper, lower] = [x.position(at), y.position(high), y.position(low)]
    return element('path', {
      class: 'whisker',
      d: `M${place(at, low)}V${upper.toFixed(1)}M${(middle - 5).toFixed(1)} ${upper.toFixed(1)}h10M${(middle - 5).toFixed(1)} ${lower.toFixed(1)}h10`,
    })
  }
  const lines = runs.map((run) => element('polyline', { class: 'line', points: run.map(({ at, value }) => place(at, value)).join(' ') }))
  const dots = known.map(({ at, value, low, high }) => {
    const interval = low === undefined || high === undefined ? '' : ` (${shortNumber(low)} to ${shortNumber(high)})`
    return element(
      'circle',
      { class: 'dot', cx: x.position(at), cy: y.position(value), r: known.length > 80 ? 1.5 : 3 },
      element('title', {}, `${moment(at)}: ${shortNumber(value)}${interval}`),
    )
  })
  const grid = ticks(y, 4).flatMap((tick) => [
    element('line', { class: 'grid', x1: left, x2: width - right, y1: y.position(tick), y2: y.position(tick) }),
    element('text', { class: 'label', x: left - 6, y: y.position(tick) + 4, 'text-anchor': 'end' }, shortNumber(tick)),
  ])
  const [first, last] = [points[0], points.at(-1)]
  const ends =
    first === undefined || last === undefined
      ? []
      : [
          element('text', { class: 'label', x: left, y: height - 6 }, moment(first.at)),
          element('text', { class: 'label', x: width - right, y: height - 6, 'text-anchor': 'end' }, moment(last.at)),
        ]
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${name} over time` },
    ...grid,
    ...bands,
    ...lines,
    ...dots,
    ...ends,
  )
}

type KnownPoint = SeriesPoint & { readonly value: number }

function withoutGaps(points: readonly SeriesPoint[]): KnownPoint[][] {
  const runs: KnownPoint[][] = [[]]
  for (const { value, ...point } of points) {
    if (value === null) runs.push([])
    else runs.at(-1)?.push({ ...point, value })
  }
  return runs.filter((run) => run.length > 0)
}

/** `2026-03-01 14:05` in UTC. */
function moment(micros: number): string {
  return new Date(micros / 1000).toISOString().slice(0, 16).replace('T', ' ')
}
