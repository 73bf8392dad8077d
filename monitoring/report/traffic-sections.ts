import { parseTimestamp } from '../../kernel/values/time.ts'
import { percent } from './distribution-chart.ts'
import { type Cell, type Section, cards, figure, legend, table } from './page.ts'
import { shortNumber } from './scale.ts'
import { type SeriesPoint, seriesChart } from './series-chart.ts'
import { statusBar } from './status-bars.ts'
import type { TrafficFigures, TrafficReport } from './traffic-report.ts'
import { element } from './markup.ts'

export function trafficSection(traffic: TrafficReport): Section {
  const { series, step, versions, gaps, errors } = traffic
  const points = (value: (figures: TrafficFigures) => number | null): SeriesPoint[] =>
    series.map(({ at, figures }) => ({ at: parseTimestamp(at), value: figures === null ? null : value(figures) }))
  const failures = Object.entries(errors).toSorted(([, a], [, b]) => b - a)
  return {
    id: 'traffic',
    title: 'Traffic and latency',
    note: `${shortNumber(traffic.requests)} requests with ${shortNumber(traffic.rows)} rows. ${gapsText(gaps.length)}`,
    body: [
      cards(
        [
          figure(
            `Requests by ${step}`,
            seriesChart(
              'Requests',
              points(({ requests }) => requests),
            ),
            'An interruption of the line is a gap in the measurement.',
          ),
          figure(
            `Failed share by ${step}`,
            seriesChart(
              'Failed share',
              points(({ requests, failed }) => (requests === 0 ? null : failed / requests)),
            ),
            'Requests that were answered with an error.',
          ),
          figure(
            `p99 latency by ${step}, ms`,
            seriesChart(
              'p99 latency',
              points(({ p99Ms }) => p99Ms),
            ),
            'Of answered requests, from arrival to answer.',
          ),
        ],
        true,
      ),
      table(
        ['version', 'role', 'requests', 'rows', 'failed', 'bypassed', 'p50 ms', 'p99 ms'],
        versions.map(({ version, role, requests, rows, failed, bypassed, p50Ms, p99Ms }): Cell[] => [
          version === null || version === 0 ? 'none' : String(version),
          role ?? '',
          requests,
          rows,
          requests === 0 ? '' : percent(failed / requests),
          bypassed,
          p50Ms === null ? '' : shortNumber(p50Ms),
          p99Ms === null ? '' : shortNumber(p99Ms),
        ]),
      ),
      ...(failures.length === 0
        ? []
        : [
            table(
              ['error', 'requests'],
              failures.map(([code, count]): Cell[] => [code, count]),
            ),
          ]),
    ],
  }
}

function gapsText(gaps: number): string {
  if (gaps === 0) return 'No gap in the measurement.'
  return `${gaps} ${gaps === 1 ? 'gap' : 'gaps'} in the measurement: servers were killed or could not write.`
}

const statuses = [
  { name: 'NULL_VALUE', series: 'null-value' },
  { name: 'NOT_FOUND', series: 'not-found' },
  { name: 'OUTSIDE_MAX_AGE', series: 'outside-max-age' },
  { name: 'UNAVAILABLE', series: 'unavailable' },
  { name: 'INVALID', series: 'unavailable' },
]

/** Why features were null. */
export function nullsSection({ statuses: columns }: TrafficReport): Section {
  const shares = Object.entries(columns).flatMap(([name, counts]) => {
    const rows = Object.values(counts).reduce((sum, count) => sum + count, 0)
    if (rows === 0) return []
    const share = Object.fromEntries(Object.entries(counts).map(([status, count]) => [status, count / rows]))
    return [{ name, share, missing: 1 - (share['PRESENT'] ?? 0) }]
  })
  const missing = shares.filter((each) => each.missing > 0).toSorted((a, b) => b.missing - a.missing)
  const max = missing[0]?.missing ?? 1
  return {
    id: 'nulls',
    title: 'Missing features',
    note:
      shares.length === 0
        ? 'No row was answered in this time.'
        : missing.length === 0
          ? 'All features of all rows were present.'
          : `Exact counts of all rows, by reason. The widest bar is ${percent(max)}; the other features were always present. A feature with a default then had its default.`,
    body:
      missing.length === 0
        ? []
        : [
            legend(statuses.filter(({ name }) => missing.some(({ share }) => (share[name] ?? 0) > 0))),
            element(
              'div',
              { class: 'cards' },
              ...missing.map(({ name, share, missing: part }) => figure(name, statusBar(share, max), `${percent(part)} missing`)),
            ),
          ],
  }
}
