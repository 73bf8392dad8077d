import { causesText } from '../drift/drift-causes.ts'
import type { DriftJson } from '../drift/drift-json.ts'
import { distributionChart, percent } from './distribution-chart.ts'
import { type Markup, element } from './markup.ts'
import type { Part } from './model-report.ts'
import { type Cell, type Section, cards, figure, legend, table } from './page.ts'
import { shortNumber } from './scale.ts'

type Column = DriftJson['columns'][number]

/** The number of columns with charts, so that the page stays readable. The table has all columns. */
const maxCharts = 60

export function driftSection({ value, reason }: Part<DriftJson>): Section {
  if (value === null) return { id: 'drift', title: 'Drift', note: reason, body: [] }
  const { version, baseline, alpha, minPsi, columns, notes } = value
  const counted = Math.max(0, ...columns.map(({ rows }) => rows.window))
  return {
    id: 'drift',
    title: 'Drift',
    note: `Version ${version}, ${shortNumber(counted)} rows compared with ${baselineText(value)} (${shortNumber(baseline.rows)} rows). A column drifted if both hold: its adjusted p is below ${alpha}, and its PSI is at least ${minPsi} above what chance gives.`,
    body: [
      ...notes.map((text) => element('p', { class: 'muted' }, text)),
      table(
        [
          'column',
          'drift',
          'harm',
          'adjusted p',
          'PSI',
          'by chance',
          'missing before',
          'missing now',
          'mean before',
          'mean now',
          'likely cause',
        ],
        columns.map((column): Cell[] => [
          column.column,
          driftCell(column),
          numberCell(column.harm),
          numberCell(column.adjustedP),
          numberCell(column.distances?.psi ?? null),
          numberCell(column.test?.psiByChance ?? null),
          shareCell(column.missing.baseline),
          shareCell(column.missing.window),
          numberCell(column.mean.baseline),
          numberCell(column.mean.window),
          causesText(column.causes),
        ]),
      ),
      legend([
        { name: 'baseline', series: 'baseline' },
        { name: 'window', series: 'window' },
      ]),
      cards(columns.slice(0, maxCharts).map(chartOf)),
      ...(columns.length > maxCharts
        ? [
            element(
              'p',
              { class: 'muted' },
              `Charts of ${columns.length - maxCharts} further columns are left out; the table and --json have them.`,
            ),
          ]
        : []),
    ],
  }
}

function baselineText({ baseline }: DriftJson): string {
  if (baseline.window !== null) return `served rows of ${baseline.window.from} to ${baseline.window.to}`
  return baseline.kind === 'dataset' ? 'a data set' : 'the baseline of the version'
}

function chartOf(column: Column): Markup {
  // bins that are empty on both sides, such as NaN and the infinities, would only take space
  const bins = column.bins.filter(({ baseline, window }) => baseline > 0 || window > 0)
  const chart = distributionChart(column.column, {
    labels: bins.map(({ label }) => label),
    baseline: column.rows.baseline === 0 ? null : bins.map(({ baseline }) => baseline),
    window: bins.map(({ window }) => window),
  })
  const psi = column.distances === null ? (column.untested ?? 'not compared') : `PSI ${shortNumber(column.distances.psi)}`
  return figure(column.column, chart, column.drifted ? `drifted; ${psi}` : psi)
}

function driftCell({ drifted, untested }: Column): Cell {
  if (untested !== null) return { text: `not tested: ${untested}`, tone: 'muted' }
  return drifted ? { text: 'drifted', tone: 'bad' } : { text: 'no', tone: 'good' }
}

function shareCell(value: number | null): string {
  return value === null ? '' : percent(value)
}

function numberCell(value: number | null): string {
  return value === null ? '' : shortNumber(value)
}
