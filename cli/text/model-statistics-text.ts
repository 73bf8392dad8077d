import { formatNumber, formatShare } from '../../kernel/values/format-number.ts'
import type { LatencyFigures, ModelStatistics, TrafficFigures } from '../../monitoring/rollups/model-statistics.ts'
import { count, moment } from './human.ts'
import { table } from './table.ts'

const topValues = 3

export function statisticsText(statistics: ModelStatistics, isSeries: boolean): string {
  const { model, from, to, total } = statistics
  const window = `${moment(new Date(from))} to ${moment(new Date(to))} UTC`
  if (total.requests === 0 && !isSeries)
    return [`No requests for the model "${model}" are summarized, ${window}.`, ...gapLines(statistics)].join('\n')
  const sampled =
    total.sampledRows < total.rows ? [`Values are of ${count(total.sampledRows)} of ${count(total.rows)} rows, chosen at random.`] : []
  return [
    `model ${model}, ${window}`,
    '',
    ...(isSeries ? seriesLines(statistics) : [groupsTable(statistics)]),
    ...(isSeries || total.rows === 0 ? [] : ['', columnsTable(statistics), ...sampled]),
    ...gapLines(statistics),
  ].join('\n')
}

const trafficHeader = ['REQUESTS', 'ROWS', 'ERRORS', 'BYPASSED', 'P50', 'P99', 'FEATURES P50', 'RUN P50']

function trafficCells({ requests, rows, errors, bypassed, latencyMs }: TrafficFigures): string[] {
  const p50 = (figures: LatencyFigures) => milliseconds(figures.p50)
  return [
    count(requests),
    count(rows),
    errorsText(errors),
    errorsText(bypassed),
    p50(latencyMs.total),
    milliseconds(latencyMs.total.p99),
    p50(latencyMs.features),
    p50(latencyMs.run),
  ]
}

function groupsTable({ groups }: ModelStatistics): string {
  const rows = groups.map(({ version, role, ...figures }) => [
    version === null ? 'all' : version === 0 ? 'none' : String(version),
    role ?? 'all',
    ...trafficCells(figures),
  ])
  return table(['VERSION', 'ROLE', ...trafficHeader], rows)
}

/** One line stands for all periods before the first with figures. */
function seriesLines({ series, coverage }: ModelStatistics): string[] {
  const measured = series.findIndex(({ figures }) => figures !== null)
  const [first, next] = [series[0], series[measured]]
  if (first === undefined || next === undefined) return coverage.minutes === 0 ? [] : ['No period has figures.']
  const gap = `No server was measured from ${moment(new Date(first.at))} to ${moment(new Date(next.at))} UTC.`
  return [...(measured === 0 ? [] : [gap, '']), seriesTable(series.slice(measured))]
}

function seriesTable(series: ModelStatistics['series']): string {
  const lines = series.flatMap(({ of }) => of ?? [])
  const title = lines.every((of) => /^\d+$/.test(of)) ? 'VERSION' : 'ROLE'
  const rows = series.map(({ at, of, figures }) => [
    moment(new Date(at)),
    ...(lines.length > 0 ? [of ?? ''] : []),
    ...(figures === null ? ['unknown'] : trafficCells(figures)),
  ])
  return table(['FROM (UTC)', ...(lines.length > 0 ? [title] : []), ...trafficHeader], rows)
}

function columnsTable({ total }: ModelStatistics): string {
  const rows = Object.entries(total.columns).map(([name, { statuses, moments, values }]) => {
    const all = Object.values(statuses).reduce((sum, each) => sum + each, 0)
    const lacking = Object.entries(statuses).filter(([status, rowsOf]) => status !== 'PRESENT' && rowsOf > 0)
    const top = values?.top.slice(0, topValues).map((each) => `${each.value} ${count(each.count)}`)
    return [
      name,
      percent((statuses['PRESENT'] ?? 0) / all),
      lacking.map(([status, rowsOf]) => `${status} ${percent(rowsOf / all)}`).join(', '),
      moments === null ? '' : short(moments.mean),
      moments === null || moments.deviation === null ? '' : short(moments.deviation),
      moments === null ? '' : short(moments.least),
      moments === null ? '' : short(moments.greatest),
      top === undefined ? '' : top.join(', '),
    ]
  })
  return table(['FEATURE OR OUTPUT', 'PRESENT', 'OTHER STATUSES', 'MEAN', 'DEVIATION', 'LEAST', 'GREATEST', 'MOST FREQUENT'], rows)
}

function gapLines({ coverage: { missing, minutes } }: ModelStatistics): string[] {
  const gaps = missing.map(
    ({ from, to }) => `A server process has no figures from ${moment(new Date(from))} to ${moment(new Date(to))} UTC.`,
  )
  return minutes === 0 ? [...gaps, 'No server process wrote a minute in this window. Is LOCKSTEP_ROLLUPS off, or no server running?'] : gaps
}

function errorsText(errors: Readonly<Record<string, number>>): string {
  const all = Object.entries(errors)
  return all.length === 0 ? '0' : all.map(([code, often]) => `${code} ${count(often)}`).join(', ')
}

function milliseconds(ms: number | null): string {
  return ms === null ? '' : `${formatNumber(ms)} ms`
}

function percent(share: number): string {
  return Number.isNaN(share) ? '' : formatShare(share)
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)))
}
