import type { TrafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import type { Chart, Series } from '../contract/answer.ts'

type Named = readonly [label: string, statistics: TrafficStatistics]

/** Predictions by time, a line for each. */
export function trafficChart(all: readonly Named[]): Chart {
  const total = all.reduce((sum, [, statistics]) => sum + statistics.total.requests, 0)
  const failed = all.reduce((sum, [, statistics]) => sum + errorsOf(statistics.total.errors), 0)
  const span = widestSpan(all.map(([, statistics]) => statistics))
  const finding =
    total === 0
      ? noRequestText(span)
      : `${total.toLocaleString('en-US')} ${total === 1 ? 'request' : 'requests'}${span}, ${failed === 0 ? 'none failed' : `${failed.toLocaleString('en-US')} failed`}.${bypassedText(all)}${stepText(all)}`
  return { finding, series: all.map((named) => line(named, 'count', ({ requests }) => requests)) }
}

function bypassedText(all: readonly Named[]): string {
  const bypassed = all.reduce((sum, [, statistics]) => sum + errorsOf(statistics.total.bypassed), 0)
  return bypassed === 0 ? '' : ` ${candidatesText(bypassed)}`
}

/** @param bypassed requests that candidates failed and the champion answered, at least one */
export function candidatesText(bypassed: number): string {
  return `Candidates failed ${bypassed === 1 ? 'once' : `${bypassed.toLocaleString('en-US')} times`}: the champion answered in their place.`
}

/**
 * What a point counts, as the vertical axis has no unit. Older minutes are merged into hours, which have a point in
 * their first minute, and no value in the others.
 */
function stepText(all: readonly Named[]): string {
  const measured = (all[0]?.[1].series ?? []).flatMap(({ at, figures }) => (figures === null ? [] : [Date.parse(at)]))
  const step = stepNames.get(Math.min(...measured.slice(1).map((at, i) => at - (measured[i] ?? 0))))
  return step === undefined ? '' : ` Each point is ${step}.`
}

const stepNames: ReadonlyMap<number, string> = new Map([
  [60_000, 'a minute'],
  [3_600_000, 'an hour'],
  [86_400_000, 'a day'],
])

/** Times of predictions, p50 and p99 of each. */
export function latencyChart(all: readonly Named[]): Chart {
  const worst = all.flatMap(([label, { total }]) => (total.latencyMs.total.p99 === null ? [] : [{ label, p99: total.latencyMs.total.p99 }]))
  const [slowest] = worst.toSorted((a, b) => b.p99 - a.p99)
  return {
    finding:
      slowest === undefined
        ? 'No request was timed.'
        : `99 of 100 requests of ${slowest.label} were answered within ${msText(slowest.p99)}.`,
    series: all.flatMap((named) => [
      line([`${named[0]} p50`, named[1]], 'ms', ({ latencyMs }) => latencyMs.total.p50),
      line([`${named[0]} p99`, named[1]], 'ms', ({ latencyMs }) => latencyMs.total.p99),
    ]),
  }
}

type Figures = NonNullable<TrafficStatistics['series'][number]['figures']>

function line([label, { series }]: Named, unit: Series['unit'], value: (figures: Figures) => number | null): Series {
  const points = series.map(({ at, figures }) => ({ t: Date.parse(at), v: figures === null ? null : value(figures) }))
  return { label, unit, points }
}

export function errorsOf(errors: Readonly<Record<string, number>>): number {
  return Object.values(errors).reduce((sum, count) => sum + count, 0)
}

/** `88 ms`, `1.2 s` */
export function msText(ms: number): string {
  return ms < 1000 ? `${rounded(ms)} ms` : `${rounded(ms / 1000)} s`
}

/** For sentences. */
export function rounded(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(2)
}

/** The span of several models, each of which may begin at another moment. */
export function widestSpan(all: readonly Pick<TrafficStatistics, 'from' | 'to'>[]): string {
  const [from] = all.map((each) => each.from).toSorted()
  const to = all
    .map((each) => each.to)
    .toSorted()
    .at(-1)
  return from === undefined || to === undefined ? '' : spanText({ from, to })
}

/** Nobody asked, or a server has not written yet what it was asked since. */
export function noRequestText(span: string): string {
  return `No request was counted${span}. A server writes the count of a minute after its end.`
}

/** Older minutes are merged into hours, so a window can begin before the moment that was asked for. */
export function spanText({ from, to }: Pick<TrafficStatistics, 'from' | 'to'>): string {
  const isOneDay = from.slice(0, 10) === to.slice(0, 10)
  return isOneDay ? ` from ${from.slice(11, 16)} to ${to.slice(11, 16)} UTC` : ` from ${momentText(from)} to ${momentText(to)}`
}

/** `2001-03-04 10:00 UTC`, for sentences. */
export function momentText(moment: string): string {
  return `${moment.slice(0, 10)} ${moment.slice(11, 16)} UTC`
}
