import { formatDuration } from '../../kernel/duration.ts'
import { parseTimestamp } from '../../kernel/time.ts'
import type { Figure } from '../quality/figure.ts'
import { figureTitle } from '../quality/figure-titles.ts'
import type { QualityReport } from '../quality/quality-report.ts'
import { type Markup, element } from './markup.ts'
import type { OutcomeQuality, Part } from './model-report.ts'
import { type Cell, type Section, cards, figure, table } from './page.ts'
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

function outcomeParts({ byVersion, byDay }: OutcomeQuality): Markup[] {
  const { outcome, total, withinMicros, answered, estimates } = byVersion
  const curve = total.calibration?.curve ?? null
  const days = byDay.groups.map((group) => ({ at: parseTimestamp(`${group.by['day']}T00:00:00Z`), figures: group.figures }))
  const charts = drawn.flatMap((name) => {
    const points = days.map(({ at, figures }) => pointOf(at, figures[name]))
    return points.some(({ value }) => value !== null)
      ? [figure(`${figureTitle(name)} by day`, seriesChart(figureTitle(name), points), `Outcome ${outcome}; the band is the interval.`)]
      : []
  })
  const unreliable = estimates.filter(({ reliable }) => reliable === false)
  return [
    element('h3', {}, `Outcome ${outcome}`),
    element(
      'p',
      { class: 'muted' },
      `${shortNumber(total.judged)} of ${shortNumber(total.predictions)} logged predictions are judged; ${shortNumber(total.immature)} are not mature (an outcome may come within ${formatDuration(withinMicros)}); ${shortNumber(total.withoutOutcome)} have no outcome.${answered === null || answered <= total.predictions ? '' : ` Servers made about ${shortNumber(answered)} predictions.`}`,
    ),
    figuresTable(byVersion),
    cards(
      [...charts, ...(curve === null ? [] : [figure('Reliability', reliabilityChart(outcome, curve.steps), reliabilityText(curve))])],
      true,
    ),
    ...estimates.map((estimate) => estimateTable(estimate)),
    ...unreliable.map(({ version, reason }) =>
      element('p', { class: 'bad' }, `Version ${version}: the estimate is unreliable: ${reason ?? ''}`),
    ),
  ]
}

/** One sentence in place of a table if there is no figure at all, as all have the same reason. */
function figuresTable({ total, groups }: QualityReport): Markup {
  const names = Object.keys(total.figures)
  const all = Object.values(total.figures)
  if (all.every(({ value }) => value === null))
    return element('p', { class: 'muted' }, `No figures: ${all[0]?.reason ?? 'nothing is judged'}.`)
  return table(
    ['version', ...names.map(figureTitle)],
    [{ by: { version: 'all' }, figures: total.figures }, ...groups].map(({ by, figures }): Cell[] => [
      by['version'] ?? '',
      ...names.map((name) => cellOf(figures[name])),
    ]),
  )
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

/** `0.812 (0.79 to 0.83)`, or why there is none. */
function cellOf(figure: Figure | undefined): Cell {
  if (figure === undefined) return ''
  if (figure.value === null) return { text: `none: ${figure.reason ?? ''}`, tone: 'muted' }
  if (figure.low === null || figure.high === null) return shortNumber(figure.value)
  return `${shortNumber(figure.value)} (${shortNumber(figure.low)} to ${shortNumber(figure.high)})`
}
