import type { ColumnSummary } from '../../../monitoring/rollups/column-summary.ts'
import { stepMicros } from '../../../monitoring/rollups/merged-rollups.ts'
import type { OutputsOverTime, VersionPeriod } from '../../../monitoring/rollups/outputs-over-time.ts'
import { meanInterval } from '../../../statistics/interval.ts'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import type { Chart, Series } from '../contract/answer.ts'
import type { OverTimeData } from '../contract/model.ts'
import { percent } from './drift-lines.ts'
import { candidatesText, momentText, noRequestText, spanText } from './traffic-charts.ts'

export interface ChartedModel {
  readonly name: string
  readonly step: OverTimeData['step']
  /** Epoch microseconds. */
  readonly now: number
  readonly answers: OutputsOverTime
}

/** A chart can tell so many lines apart. */
const maxLines = 6
const maxValues = 4
/** Longer categories are cut in the names of lines. */
const maxLabel = 40

/** The interval of two rows is so wide that nothing else of the chart can be seen. */
const minIntervalRows = 3

type Versions = readonly (readonly [version: number, periods: ReadonlyMap<number, VersionPeriod>])[]

/** Requests by period, a line for each version, and for those that failed. */
export function requestsChart({ name, step, now, answers }: ChartedModel): Chart {
  const { periods, from, to } = answers
  const all = [...answers.versions]
  const totals = all.flatMap(([, of]) => [...of.values()].map(({ traffic }) => traffic))
  const [requests, failed, bypassed] = [sum(totals, sentTo), sum(totals, failedOf), sum(totals, ({ bypassed: of }) => countOf(of))]
  const span = spanText({ from: formatTimestamp(from), to: formatTimestamp(Math.min(to, now)) })
  const gaps = periods.filter(({ isMeasured }) => !isMeasured).length
  const finding = [
    requests - bypassed === 0
      ? noRequestText(span)
      : `${count(requests - bypassed)} ${requests - bypassed === 1 ? 'request' : 'requests'}${span}, ${failed - bypassed === 0 ? 'none failed' : `${count(failed - bypassed)} failed`}.`,
    ...(bypassed === 0 ? [] : [candidatesText(bypassed)]),
    ...(gaps === 0 ? [] : [`In ${count(gaps)} of ${periods.length} ${step}s no server was measured.`]),
  ].join(' ')
  const { shown, says } = mostUsed(all, ({ traffic }) => sentTo(traffic))
  const line = (label: string, of: Versions, value: (traffic: VersionPeriod['traffic']) => number): Series => ({
    label,
    unit: 'count',
    points: periods.map(({ at, isMeasured }) => {
      const traffics = of.flatMap(([, byPeriod]) => byPeriod.get(at)?.traffic ?? [])
      return { t: at / 1000, v: isMeasured ? sum(traffics, value) : null }
    }),
  })
  const failing = shown.filter(([, of]) => [...of.values()].some(({ traffic }) => failedOf(traffic) > 0))
  const isRoomy = shown.length + failing.length <= maxLines
  const series = [
    ...(shown.length === 0 ? [line(name, [], () => 0)] : shown.map((own) => line(labelOf(name, own[0]), [own], sentTo))),
    ...(isRoomy
      ? failing.map((own) => line(`${labelOf(name, own[0])} failed`, [own], failedOf))
      : [line('failed, of all versions', all, failedOf)]),
  ]
  return { finding: `${finding}${says}`, series }
}

/** The outputs that are one number, one text or one boolean, in the order of their names. */
export function outputCharts(model: ChartedModel): OverTimeData['outputs'] {
  const all = [...model.answers.versions]
  const names = new Set(all.flatMap(([, periods]) => [...periods.values()].flatMap(({ outputs }) => [...outputs.keys()])))
  return [...names].toSorted().flatMap((name) => {
    const { shown, says } = mostUsed(all, ({ outputs }) => outputs.get(name)?.taken ?? 0)
    const columns = shown.flatMap(([, periods]) => [...periods.values()].flatMap(({ outputs }) => outputs.get(name) ?? []))
    const output: Output = { ...model, output: name, versions: shown }
    const charts: OverTimeData['outputs'] = []
    if (columns.some(isCategory)) charts.push({ name, kind: 'shares', chart: sharesChart(output, columns.filter(isCategory)) })
    if (columns.some((column) => !isCategory(column) && column.moments.count > 0))
      charts.push({ name, kind: 'mean', chart: meanChart(output) })
    return charts.map((each) => ({ ...each, chart: { ...each.chart, finding: `${each.chart.finding}${says}` } }))
  })
}

interface Output extends ChartedModel {
  readonly output: string
  readonly versions: Versions
}

function meanChart({ name, output, versions, answers, ...when }: Output): Chart {
  const series = versions.map(([version, periods]): Series => {
    const points = answers.periods.map(({ at }): Series['points'][number] => {
      const column = periods.get(at)?.outputs.get(output)
      const figures = column === undefined || isCategory(column) ? null : column.moments.figures()
      if (column === undefined || figures === null) return { t: at / 1000, v: null }
      const { mean, deviation } = figures
      const n = column.moments.count
      const { low, high } = meanInterval({ n, mean, variance: (deviation ?? Number.NaN) ** 2 })
      return { t: at / 1000, v: mean, n, ...(n >= minIntervalRows && Number.isFinite(low) && Number.isFinite(high) ? { low, high } : {}) }
    })
    return { label: labelOf(name, version), unit: 'value', points }
  })
  const says = newestText(series, when, ({ label, point: { v, low, high, n } }, moment) => {
    const interval = low === undefined || high === undefined ? '' : `${meanText(low)} to ${meanText(high)}, `
    return `${label} gave a mean of ${meanText(v)} ${moment} (${interval}of ${count(n)} rows)`
  })
  const columns = versions
    .flatMap(([, periods]) => [...periods.values()].flatMap(({ outputs }) => outputs.get(output) ?? []))
    .filter((column) => !isCategory(column))
  const [taken, counted] = [sum(columns, (column) => column.taken), sum(columns, ({ moments }) => moments.count)]
  const left =
    taken === counted
      ? ''
      : ` ${count(taken - counted)} of all ${count(taken)} rows gave no finite number, and ${taken - counted === 1 ? 'is' : 'are'} left out.`
  return { finding: `${output}: ${says}${left}`, series }
}

function sharesChart({ name, output, versions, answers, ...when }: Output, columns: readonly ColumnSummary[]): Chart {
  const counts = new Map<string, number>()
  for (const { values } of columns)
    for (const { value, count: of } of values?.top(Number.POSITIVE_INFINITY) ?? []) counts.set(value, (counts.get(value) ?? 0) + of)
  const isBoolean = [...counts.keys()].every((value) => value === 'true' || value === 'false')
  const room = Math.min(maxValues, Math.max(1, Math.floor(maxLines / versions.length)))
  const values = isBoolean
    ? ['true']
    : [...counts]
        .toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
        .slice(0, room)
        .map(([value]) => value)
  const series = values.flatMap((value) =>
    versions.map(([version, periods]): Series => {
      const points = answers.periods.map(({ at }): Series['points'][number] => {
        const column = periods.get(at)?.outputs.get(output)
        if (column === undefined || !isCategory(column) || column.taken === 0) return { t: at / 1000, v: null }
        return { t: at / 1000, v: (column.values?.countOf(value) ?? 0) / column.taken, n: column.taken }
      })
      return { label: `${labelOf(name, version)}: ${cut(value)}`, unit: 'share', points }
    }),
  )
  const says = newestText(series, when, ({ label, point: { v, n } }, moment) => `${label} was ${percent(v)} of ${count(n)} rows ${moment}`)
  const isCut = columns.some(({ values: kept }) => kept?.complete === false)
  const rest = isCut ? ' It has more values than are counted, so a frequent one may be missing.' : ''
  return { finding: `${output}: ${says}${rest}`, series }
}

interface Placed {
  readonly label: string
  readonly point: {
    readonly t: number
    readonly v: number
    readonly low?: number | undefined
    readonly high?: number | undefined
    readonly n: number
  }
}

/**
 * The newest figure and the one before, each of the line with the most rows: of complete periods, if there are any.
 *
 * @param text a figure in words, without its full stop
 */
function newestText(
  series: readonly Series[],
  { step, now }: Pick<ChartedModel, 'step' | 'now'>,
  text: (placed: Placed, moment: string) => string,
): string {
  const known = series.flatMap(({ label, points }) =>
    points.flatMap(({ v, n = 0, ...rest }): Placed[] => (v === null ? [] : [{ label, point: { ...rest, v, n } }])),
  )
  const byPeriod = [...Map.groupBy(known, ({ point }) => point.t)].toSorted(([a], [b]) => b - a)
  const isOver = (t: number) => t * 1000 + stepMicros[step] <= now
  const over = byPeriod.filter(([t]) => isOver(t))
  const [newest, before] = (over.length === 0 ? byPeriod : over).map(([, of]) => of.toSorted((a, b) => b.point.n - a.point.n))
  const [last] = newest ?? []
  if (last === undefined) return 'It has no values.'
  const momentOf = ({ point: { t } }: Placed) =>
    step === 'day' ? `on ${new Date(t).toISOString().slice(0, 10)}` : `in the hour from ${momentText(new Date(t).toISOString())}`
  const suffix = over.length === 0 ? `, a ${step} that is not over` : ''
  const same = before?.find(({ label }) => label === last.label) ?? before?.[0]
  const then = same === undefined ? '' : ` Before, ${text(same, momentOf(same))}.`
  return `${text(last, momentOf(last))}${suffix}.${then}`
}

/** The versions with the most of something, in their order, and what to say of the others. */
function mostUsed(all: Versions, of: (period: VersionPeriod) => number): { readonly shown: Versions; readonly says: string } {
  const used = all
    .map((own) => ({ own, total: [...own[1].values()].reduce((total, period) => total + of(period), 0) }))
    .filter(({ total }) => total > 0)
  const most = new Set(used.toSorted((a, b) => b.total - a.total).slice(0, maxLines))
  const left = used.length - most.size
  const says = left === 0 ? '' : ` ${left === 1 ? 'A version' : `${left} versions`} with fewer ${left === 1 ? 'is' : 'are'} left out.`
  return { shown: used.filter((each) => most.has(each)).map(({ own }) => own), says }
}

/** Texts and booleans are counted by value. */
function isCategory({ values }: ColumnSummary): boolean {
  return values !== null
}

function labelOf(name: string, version: number): string {
  return version === 0 ? `${name}, no version chosen` : `${name}@${version}`
}

/** As on the page: also those that the version failed and the champion answered. */
function sentTo({ requests, bypassed }: VersionPeriod['traffic']): number {
  return requests + countOf(bypassed)
}

function failedOf({ errors, bypassed }: VersionPeriod['traffic']): number {
  return countOf(errors) + countOf(bypassed)
}

function countOf(byCode: ReadonlyMap<string, number>): number {
  return [...byCode.values()].reduce((total, each) => total + each, 0)
}

function sum<Of>(all: readonly Of[], value: (each: Of) => number): number {
  return all.reduce((total, each) => total + value(each), 0)
}

function cut(value: string): string {
  const text = value === '' ? 'empty text' : value
  return text.length > maxLabel ? `${text.slice(0, maxLabel - 1)}…` : text
}

function meanText(value: number): string {
  return Math.abs(value) >= 1000 ? count(Math.round(value)) : value.toPrecision(3)
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
