import { durationText } from '../../kernel/values/duration.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Figure } from '../quality/figure.ts'
import { figureTitle } from '../quality/figure-titles.ts'
import type { JudgedGroup } from '../quality/judge-predictions.ts'
import type { QualityReport } from '../quality/quality-report.ts'
import { type Markup, element } from './markup.ts'
import { businessTable, cellOf, figuresTable, type LabelledGroup } from './figures-table.ts'
import type { OutcomeQuality, Part } from './model-report.ts'
import { type Section, cards, figure, table } from './page.ts'
import { reliabilityChart } from './reliability-chart.ts'
import { shortNumber } from './scale.ts'
import { seriesChart } from './series-chart.ts'

/** Figures that are drawn by day. */
const drawn = ['auc', 'accuracy', 'precision', 'recall', 'logLoss', 'calibrationError', 'rmse', 'mae', 'bias']

export function qualitySection(quality: Part<readonly OutcomeQuality[]>): Section {
  return {
    id: 'quality',
    title: 'Quality',
    note:
      quality.value === null ? quality.reason : 'Of mature predictions only: those whose outcome can no longer come. Intervals are 95 %.',
    body: quality.value?.flatMap(outcomeParts) ?? [],
  }
}

function outcomeParts({ byVersion, byDay, bySlice }: OutcomeQuality): Markup[] {
  const { outcome, total, withinMicros, answered, estimates } = byVersion
  const curve = total.calibration?.curve ?? null
  const days = byDay.groups.map((group) => ({ at: parseTimestamp(`${group.by['day']}T00:00:00Z`), group }))
  const chart = (title: string, caption: string, of: (group: JudgedGroup) => Figure | undefined): Markup[] => {
    const points = days.map(({ at, group }) => pointOf(at, of(group)))
    return points.some(({ value }) => value !== null) ? [figure(`${title} by day`, seriesChart(title, points), caption)] : []
  }
  const charts = drawn.flatMap((name) =>
    chart(figureTitle(name), `Outcome ${outcome}; the band is the interval.`, ({ figures }) => figures[name]),
  )
  const business = Object.keys(total.business).flatMap((name) =>
    chart(name, `Mean for each prediction that ${outcome} judges; the band is the interval.`, (group) => group.business[name]),
  )
  const versions = [{ label: 'all', group: total }, ...labelled(byVersion.groups, 'version')]
  const unreliable = estimates.filter(({ reliable }) => reliable === false)
  return [
    element('h3', {}, `Outcome ${outcome}`),
    element(
      'p',
      { class: 'muted' },
      `${shortNumber(total.judged)} of ${shortNumber(total.predictions)} logged predictions are judged; ${shortNumber(total.immature)} are not mature (an outcome may come within ${durationText(withinMicros)}); ${shortNumber(total.withoutOutcome)} have no outcome.${answered === null || answered <= total.predictions ? '' : ` Servers made about ${shortNumber(answered)} predictions.`}`,
    ),
    figuresTable('version', versions),
    ...businessTable('version', versions),
    cards(
      [
        ...charts,
        ...business,
        ...(curve === null ? [] : [figure('Reliability', reliabilityChart(outcome, curve.steps), reliabilityText(curve))]),
      ],
      true,
    ),
    ...Object.entries(bySlice).flatMap(sliceParts),
    ...estimates.map((estimate) => estimateTable(estimate)),
    ...unreliable.map(({ version, reason }) =>
      element('p', { class: 'bad' }, `Version ${version}: the estimate is unreliable: ${reason ?? ''}`),
    ),
  ]
}

function labelled(groups: readonly JudgedGroup[], by: string): LabelledGroup[] {
  return groups.map((group) => ({ label: group.by[by] ?? '', group }))
}

/** More groups would make the page long; --json has all. */
const maxSliceGroups = 20

function sliceParts([slice, { groups }]: readonly [string, QualityReport]): Markup[] {
  const largest = new Set(groups.toSorted((a, b) => b.judged - a.judged).slice(0, maxSliceGroups))
  const shown = labelled(
    groups.filter((group) => largest.has(group)),
    slice,
  )
  const more = groups.length - shown.length
  return [
    element('h3', {}, `By ${slice}`),
    ...(more === 0
      ? []
      : [element('p', { class: 'muted' }, `The ${maxSliceGroups} groups with most judged predictions; ${more} more are not shown.`)]),
    figuresTable(slice, shown),
    ...businessTable(slice, shown),
  ]
}

function reliabilityText({
  miscalibration,
  discrimination,
  n,
}: {
  readonly miscalibration: number
  readonly discrimination: number
  readonly n: number
}): string {
  return `Share of positives by probability, of ${shortNumber(n)} rows. A calibrated model lies in the band. Miscalibration ${shortNumber(miscalibration)}, discrimination ${shortNumber(discrimination)}.`
}

function estimateTable({ version, n, figures, reliable, reason }: QualityReport['estimates'][number]): Markup {
  if (figures === null)
    return element(
      'p',
      { class: 'muted' },
      `Version ${version}, ${shortNumber(n)} predictions that are not mature: no estimate: ${reason ?? 'labels are missing'}.`,
    )
  const names = Object.keys(figures)
  return table(
    [`estimated for ${shortNumber(n)} predictions of version ${version} that are not mature`, ...names.map(figureTitle)],
    [
      [
        reliable === false ? { text: 'unreliable', tone: 'bad' } : reliable === null ? 'not checked: too few labels' : 'reliable',
        ...names.map((name) => cellOf(figures[name])),
      ],
    ],
  )
}

function pointOf(at: number, figure: Figure | undefined) {
  if (figure === undefined || figure.value === null) return { at, value: null }
  return { at, value: figure.value, low: figure.low ?? undefined, high: figure.high ?? undefined }
}
