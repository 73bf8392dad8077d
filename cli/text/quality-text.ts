import { durationText } from '../../kernel/values/duration.ts'
import { formatShare } from '../../kernel/values/format-number.ts'
import type { BusinessFigure } from '../../monitoring/quality/business-tally.ts'
import type { Figure } from '../../monitoring/quality/figure.ts'
import { figureTitle } from '../../monitoring/quality/figure-titles.ts'
import type { JudgedGroup } from '../../monitoring/quality/judge-predictions.ts'
import type { QualityReport } from '../../monitoring/quality/quality-report.ts'
import { count, counted, digits, intervalText } from './human.ts'
import { table } from './table.ts'

/** The figures on the line of a group; --json has all. */
export const figuresOfGroups = ['auc', 'logLoss', 'accuracy', 'precision', 'recall', 'calibrationError', 'rmse', 'mae', 'bias']

/** The report as tables: figures of all predictions, by group, and of predictions that are not mature. */
export function qualityText(report: QualityReport): string {
  const { total, groups, estimates } = report
  const notes = intervalNotes([total, ...groups])
  return [
    headText(report),
    '',
    figuresText(total.figures),
    ...(Object.keys(total.business).length === 0
      ? []
      : [
          '',
          table(
            ['MEAN FOR EACH PREDICTION', 'VALUE', '95 % INTERVAL', 'PREDICTIONS', 'TOTAL', ''],
            Object.entries(total.business).map(businessLine),
          ),
        ]),
    ...(groups.length === 0 ? [] : ['', groupsText(groups)]),
    ...estimates.flatMap((estimate) => [
      '',
      `Estimated for ${counted(estimate.n, 'prediction')} of version ${estimate.version} that ${estimate.n === 1 ? 'is' : 'are'} not mature, from scores that ${counted(estimate.labelled, 'mature one')} calibrate:`,
      ...(estimate.figures === null ? [] : [figuresText(estimate.figures)]),
      ...(estimate.reason === null ? [] : [`${estimate.reliable === false ? 'unreliable' : 'note'}: ${estimate.reason}`]),
    ]),
    ...(notes.length === 0 ? [] : ['', ...notes]),
    ...(report.isFull ? ['', 'note: there are more groups than 200; the others are counted together as (other).'] : []),
  ].join('\n')
}

/** Notes about the intervals, if a group has rows of one entity only. */
export function intervalNotes(groups: readonly Pick<JudgedGroup, 'entities' | 'judged' | 'figures'>[]): string[] {
  const isByRow = groups.some(
    ({ entities, judged, figures }) =>
      entities !== judged && Object.values(figures).some(({ interval, value }) => interval === 'rows' && value !== null),
  )
  return isByRow
    ? ['note: where all rows are of one entity, intervals take them for independent. If they are not, these intervals are too narrow.']
    : []
}

function headText({ model, outcome, from, to, output, threshold, answered, withinMicros, missing, shadow, total }: QualityReport): string {
  const { predictions, judged, assumed, immature, withoutOutcome, unreadable } = total
  const decided = threshold === null ? '' : `, positive from ${threshold} on`
  const left = [
    ...(immature === 0 ? [] : [`${count(immature)} not mature: an outcome may still come within ${durationText(withinMicros)}`]),
    ...(shadow === 0 ? [] : [`${count(shadow)} shadow ${shadow === 1 ? 'prediction' : 'predictions'}`]),
    ...(withoutOutcome === 0 ? [] : [`${count(withoutOutcome)} without an outcome`]),
    ...(unreadable === 0 ? [] : [`${count(unreadable)} with an output or outcome that cannot be compared`]),
  ]
  return [
    `${model}: "${output}" against the outcome "${outcome}"${decided}`,
    `logged from ${from} to ${to}: ${counted(predictions, 'prediction')}, of which ${count(judged)} are judged`,
    loggedText(predictions, answered),
    ...(left.length === 0 ? [] : [`left out: ${left.join('; ')}`]),
    ...(assumed === 0
      ? []
      : [
          `assumed: ${count(assumed)} judged ${assumed === 1 ? 'one has' : 'ones have'} no row of the outcome, which means ${JSON.stringify(missing)}`,
        ]),
    ...(judged > 0 || immature === 0 ? [] : [`note: an outcome takes up to ${durationText(withinMicros)}: look further back with --since`]),
  ].join('\n')
}

/** Statistics reach back to the last complete minute, so `answered` may be less than what is logged. */
function loggedText(logged: number, answered: number | null): string {
  if (answered === null) return 'the share of predictions that is logged is unknown: servers wrote no statistics of that time'
  if (logged === 0 && answered === 0) return 'servers made no prediction in that time'
  if (logged >= answered) return 'all predictions are logged, as far as the statistics of servers show'
  return `of about ${counted(answered, 'prediction')} that servers made, ${formatShare(logged / answered)} are logged`
}

/** One sentence in place of a table if no figure has a value, and all for the same reason. */
function figuresText(figures: Readonly<Record<string, Figure>>): string {
  const reasons = new Set(Object.values(figures).map(({ value, reason }) => (value === null ? reason : null)))
  const [reason = null] = reasons
  if (reasons.size === 1 && reason !== null) return `No figure can be computed: ${reason}.`
  return table(['FIGURE', 'VALUE', '95 % INTERVAL', 'PREDICTIONS', ''], Object.entries(figures).map(figureLine))
}

function figureLine([name, { value, low, high, n, reason }]: readonly [string, Figure]): string[] {
  return [figureTitle(name), value === null ? '-' : digits(value), intervalText(low, high), count(n), reason ?? '']
}

function businessLine([name, { value, low, high, n, total, assumed, reason }]: readonly [string, BusinessFigure]): string[] {
  const note = assumed === 0 ? '' : `${count(assumed)} without a row count as 0`
  return [name, value === null ? '-' : digits(value), intervalText(low, high), count(n), digits(total), reason ?? note]
}

function groupsText(groups: readonly JudgedGroup[]): string {
  const [first] = groups
  const splits = Object.keys(first?.by ?? {})
  const business = Object.keys(first?.business ?? {})
  const shown = figuresOfGroups.filter((name) => first !== undefined && name in first.figures)
  return table(
    [
      ...splits.map((name) => name.toUpperCase()),
      'JUDGED',
      'NOT MATURE',
      ...shown.map((name) => figureTitle(name).toUpperCase()),
      ...business.map((name) => name.toUpperCase()),
    ],
    groups.map(({ by, judged, immature, figures, business: own }) => [
      ...splits.map((name) => by[name] ?? ''),
      count(judged),
      count(immature),
      ...shown.map((name) => figureCell(figures[name])),
      ...business.map((name) => figureCell(own[name])),
    ]),
  )
}

export function figureCell(figure: Figure | undefined): string {
  if (figure === undefined || figure.value === null) return '-'
  return `${digits(figure.value)} (${intervalText(figure.low, figure.high)})`
}
