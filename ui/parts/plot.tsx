import { useComputedColorScheme } from '@mantine/core'
import { type ReactElement, useEffect, useRef } from 'react'
import type UPlot from 'uplot'
import type { Chart, Series } from '../../serving/dashboard/contract/answer.ts'
import { type ChartColumns, type ChartKind, dashes, rangeAcross, rangeOfTime } from './chart-columns.ts'
import { formatNumber, formatOdds } from './format.ts'

interface PlotProps {
  readonly series: readonly Series[]
  readonly columns: ChartColumns
  readonly kind: ChartKind
  readonly height: number
  readonly isTime: boolean
  /** What the points are called, by their `t`. */
  readonly names: readonly string[] | undefined
  readonly boundValue: number | undefined
  readonly ends: readonly [number, number] | undefined
  readonly marks: NonNullable<Chart['marks']>['points'] | undefined
  readonly cursor: number | null
  readonly onCursor: (index: number | null) => void
}

type Library = typeof UPlot

/** Steps of an axis of counts. */
const wholeNumbers = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat()

/** Steps of an axis of seconds that people read easily. */
const wholeTimes = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
]
/** Steps of the axis of time, from a second to a year: its labels have no fractions of a second. */
const clockTimes = [...wholeTimes.filter((seconds) => seconds >= 1), 1_209_600, 2_592_000, 7_776_000, 31_536_000]

let library: Promise<Library> | undefined

/** uPlot formats a number by the browser's language when it loads, which throws where that is no language. */
async function load(): Promise<Library> {
  try {
    // oxlint-disable-next-line no-new -- it throws where uPlot would
    new Intl.NumberFormat(navigator.language)
  } catch {
    Object.defineProperty(navigator, 'language', { value: 'en', configurable: true })
  }
  return (await import('uplot')).default
}

/** The drawing of a chart. All that it says is in the chart's words and table too. */
export default function Plot({
  series,
  columns,
  kind,
  height,
  isTime,
  names,
  boundValue,
  ends,
  marks,
  cursor,
  onCursor,
}: PlotProps): ReactElement {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot>(null)
  const scheme = useComputedColorScheme('light')
  const hear = useRef(onCursor)
  hear.current = onCursor
  useEffect(() => {
    const element = place.current
    if (element === null) return undefined
    let closed = false
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    const draw = async (): Promise<void> => {
      const UPlotLibrary = await (library ??= load())
      if (closed) return
      plot.current?.destroy()
      const { options, data, strokes } = drawing(
        UPlotLibrary,
        { series, columns, kind, height, isTime, names, boundValue, ends, marks },
        element,
      )
      const style = getComputedStyle(element)
      const color = (name: string): string => style.getPropertyValue(`--${name}`).trim()
      options.hooks = {
        setCursor: [(self) => self.cursor.event !== undefined && self.cursor.event !== null && hear.current(self.cursor.idx ?? null)],
        draw: [
          (self) => kind === 'line' && drawLonePoints(self, columns, isTime, strokes),
          (self) => drawLoneIntervals(self, columns, isTime, strokes),
          (self) => boundValue !== undefined && drawBound(self, boundValue, color('mark')),
          (self) => isTime && drawZone(self, color('ink-3'), color('font')),
          (self) =>
            drawMarks(
              self,
              (marks ?? []).map(({ t }) => (isTime ? t / 1000 : t)),
              color('warn'),
            ),
        ],
      }
      plot.current = new UPlotLibrary(options, data, element)
      observer.observe(element)
    }
    void draw()
    return () => {
      closed = true
      observer.disconnect()
      plot.current?.destroy()
      plot.current = null
    }
  }, [series, columns, kind, height, isTime, names, boundValue, ends, marks, scheme])
  useEffect(() => {
    const drawn = plot.current
    const t = cursor === null ? undefined : columns.t[cursor]
    if (drawn !== null && t !== undefined) drawn.setCursor({ left: drawn.valToPos(isTime ? t / 1000 : t, 'x'), top: 10 }, false)
  }, [cursor, columns, isTime])
  return <div ref={place} aria-hidden="true" />
}

type Drawn = Pick<PlotProps, 'series' | 'columns' | 'kind' | 'height' | 'isTime' | 'names' | 'boundValue' | 'ends' | 'marks'>

function drawing(
  library: Library,
  drawn: Drawn,
  element: HTMLElement,
): { options: UPlot.Options; data: UPlot.AlignedData; strokes: string[] } {
  const { series, columns, kind, height, isTime, names, boundValue, ends, marks } = drawn
  const style = getComputedStyle(element)
  const color = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  const lines: UPlot.Series[] = [{}]
  const strokes: string[] = []
  const bands: UPlot.Band[] = []
  const across = isTime ? columns.t.map((t) => t / 1000) : columns.t
  const data: (readonly (number | null)[])[] = [across]
  const barsOf = (index: number): UPlot.Series.PathBuilder | undefined =>
    // two series of bins stand side by side
    names !== undefined && series.length === 2
      ? library.paths.bars?.({ size: [0.4, 40], align: index === 0 ? -1 : 1 })
      : library.paths.bars?.({ size: [0.8, 40, 4] })
  for (const [index, { label, grey }] of series.entries()) {
    const stroke = color(grey === true ? 'ink-3' : `series-${(index % 6) + 1}`)
    const paths = kind === 'step' ? library.paths.stepped?.({ align: 1 }) : kind === 'bar' ? barsOf(index) : undefined
    strokes.push(stroke)
    data.push(columns.values[index] ?? [])
    lines.push({
      label,
      stroke,
      width: grey === true ? 1 : 2,
      dash: [...(dashes[index % 6] ?? [])],
      ...(kind === 'bar' ? { fill: `${stroke}55` } : series.length === 1 ? { fill: `${stroke}14` } : {}),
      ...(paths === undefined ? {} : { paths }),
      points: {
        show: kind === 'line' && grey !== true && (columns.values[index] ?? []).filter((value) => value !== null).length < 25,
        size: 5,
        fill: stroke,
      },
    })
    const [low, high] = [columns.low[index], columns.high[index]]
    if (low !== undefined && high !== undefined) {
      const edge = { stroke: `${stroke}66`, width: 1, points: { show: false }, ...(paths === undefined ? {} : { paths }) }
      bands.push({ series: [lines.length, lines.length + 1], fill: `${stroke}26` })
      lines.push(edge, edge)
      data.push(high, low)
      const line = lines.at(-3)
      if (line !== undefined) delete line.fill
    }
  }
  const unit = series[0]?.unit
  // a mark may be earlier than all values
  const measured = isTime && marks === undefined ? rangeOfTime(columns) : null
  const axis = { stroke: color('ink-3'), font: `11px ${color('font')}`, ticks: { show: false } }
  return {
    strokes,
    data: data as UPlot.AlignedData,
    options: {
      width: element.clientWidth,
      height,
      // half of the last label, `10:44:15`, is beyond the end of the axis
      padding: [10, isTime ? 28 : 20, 0, 0],
      tzDate: (seconds) => library.tzDate(new Date(seconds * 1000), 'UTC'),
      scales: {
        x: {
          time: isTime,
          ...(names !== undefined
            ? { range: (): [number, number] => [-0.6, names.length - 0.4] }
            : ends !== undefined
              ? { range: (): [number, number] => [...ends] }
              : columns.t.length === 1 || kind === 'bar'
                ? { range: (): [number, number] => rangeAcross(across, isTime ? timeAlone(across) : 1) }
                : measured !== null
                  ? { range: (): [number, number] => [measured[0] / 1000, measured[1] / 1000] }
                  : {}),
        },
        y: {
          range: (_self, low, high) =>
            rangeOf(Math.min(low, boundValue ?? low), Math.max(high, boundValue ?? high), fromZero.has(unit ?? 'value') || kind === 'bar'),
        },
      },
      axes: [
        {
          ...axis,
          size: 34,
          gap: 8,
          space: 70,
          grid: { show: false },
          ...(isTime
            ? { incrs: clockTimes, values: (_self: UPlot, splits: number[]) => splits.map((seconds) => timeLabel(seconds, splits)) }
            : {}),
          ...(names === undefined
            ? {}
            : {
                incrs: wholeNumbers,
                space: spaceOf(names),
                values: (_self: UPlot, splits: number[]) => splits.map((place) => names[place] ?? ''),
              }),
        },
        {
          ...axis,
          size: 64,
          ...(unit === 'seconds' ? { incrs: wholeTimes } : unit === 'count' || unit === 'odds' ? { incrs: wholeNumbers } : {}),
          grid: { stroke: color('line'), width: 1 },
          values: (_self, splits) => splits.map((split) => (unit === 'odds' ? formatOdds(split) : formatNumber(split, unit))),
        },
      ],
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      legend: { show: false },
      series: lines,
      bands,
    },
  }
}

/** The points that have no neighbour, to which no line can be drawn. */
function drawLonePoints({ ctx, valToPos }: UPlot, { t, values }: ChartColumns, isTime: boolean, strokes: readonly string[]): void {
  for (const [index, own] of values.entries()) {
    ctx.fillStyle = strokes[index] ?? ''
    for (const [place, value] of own.entries()) {
      if (value === null || [place - 1, place + 1].some((next) => (own[next] ?? null) !== null)) continue
      ctx.beginPath()
      ctx.arc(
        valToPos((t[place] ?? 0) / (isTime ? 1000 : 1), 'x', true),
        valToPos(value, 'y', true),
        2.5 * devicePixelRatio,
        0,
        2 * Math.PI,
      )
      ctx.fill()
    }
  }
}

/** The intervals of points that have no neighbour, between which no band can be drawn. */
function drawLoneIntervals({ ctx, valToPos }: UPlot, { t, low, high }: ChartColumns, isTime: boolean, strokes: readonly string[]): void {
  for (const [index, lows] of low.entries()) {
    for (const [place, from] of (lows ?? []).entries()) {
      const to = high[index]?.[place] ?? null
      const hasNeighbour = [place - 1, place + 1].some((next) => (lows?.[next] ?? null) !== null)
      if (from === null || to === null || hasNeighbour) continue
      const x = valToPos((t[place] ?? 0) / (isTime ? 1000 : 1), 'x', true)
      const half = 4 * devicePixelRatio
      ctx.strokeStyle = strokes[index] ?? ''
      ctx.lineWidth = 1.5 * devicePixelRatio
      ctx.beginPath()
      for (const y of [from, to].map((end) => valToPos(end, 'y', true))) {
        ctx.moveTo(x - half, y)
        ctx.lineTo(x + half, y)
      }
      ctx.moveTo(x, valToPos(from, 'y', true))
      ctx.lineTo(x, valToPos(to, 'y', true))
      ctx.stroke()
    }
  }
}

/** A triangle at the top of the plot for each place of the horizontal axis. */
function drawMarks({ ctx, bbox, valToPos }: UPlot, places: readonly number[], fill: string): void {
  const size = 5 * devicePixelRatio
  ctx.fillStyle = fill
  for (const place of places) {
    const x = valToPos(place, 'x', true)
    ctx.beginPath()
    ctx.moveTo(x - size, bbox.top)
    ctx.lineTo(x + size, bbox.top)
    ctx.lineTo(x, bbox.top + 1.6 * size)
    ctx.fill()
  }
}

/** A dashed line to compare with, over all of the width. */
function drawBound({ ctx, bbox, valToPos }: UPlot, value: number, stroke: string): void {
  const y = valToPos(value, 'y', true)
  ctx.save()
  ctx.strokeStyle = stroke
  ctx.lineWidth = 1.5 * devicePixelRatio
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio])
  ctx.beginPath()
  ctx.moveTo(bbox.left, y)
  ctx.lineTo(bbox.left + bbox.width, y)
  ctx.stroke()
  ctx.restore()
}

/** The zone of the axis of time, at its left. */
function drawZone({ ctx, bbox }: UPlot, fill: string, font: string): void {
  ctx.save()
  ctx.fillStyle = fill
  ctx.font = `${11 * devicePixelRatio}px ${font}`
  ctx.textAlign = 'left'
  ctx.textBaseline = 'top'
  ctx.fillText('UTC', 4 * devicePixelRatio, bbox.top + bbox.height + 8 * devicePixelRatio)
  ctx.restore()
}

/** Pixels that the longest name needs. */
function spaceOf(names: readonly string[]): number {
  return Math.max(84, 6.5 * Math.max(0, ...names.map(({ length }) => length)) + 12)
}

/** What is drawn from zero on: evidence from 1 to 1 on. */
const fromZero: ReadonlySet<Series['unit']> = new Set(['count', 'perSecond', 'odds'])

function rangeOf(low: number, high: number, isFromZero: boolean): [number, number] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1]
  const room = high === low ? Math.abs(high) * 0.2 || 1 : (high - low) * 0.12
  return [isFromZero || (low >= 0 && low - room < 0) ? Math.min(0, low) : low - room, high + room]
}

/** How much time is around a single point: a day, if the point is one. */
function timeAlone([seconds = 0]: readonly number[]): number {
  return seconds % 86_400 === 0 ? 86_400 : 3600
}

/** A label of the time axis in UTC: the hour, or the day where one begins. */
function timeLabel(seconds: number, splits: readonly number[]): string {
  const text = new Date(seconds * 1000).toISOString()
  const span = (splits.at(-1) ?? 0) - (splits[0] ?? 0)
  if (splits.length > 1 && span < 600) return text.slice(11, 19)
  return text.slice(11, 16) === '00:00' ? text.slice(5, 10) : text.slice(11, 16)
}
