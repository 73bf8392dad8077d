import { formatShare } from '../../kernel/values/format-number.ts'
import type { ExperimentReport } from '../../monitoring/experiments/experiment-report.ts'
import type { VariantComparison, ExperimentResult, Interval, MetricResult } from '../../monitoring/experiments/experiment-result.ts'
import { minRateDays } from '../../monitoring/experiments/new-units-rate.ts'
import { count, counted, moment } from './human.ts'
import { shareText } from './rollout-text.ts'
import { table } from './table.ts'

/** The text of `experiment show`. */
export function experimentText(report: ExperimentReport): string {
  const { experiment, model, state, versions, startedAt, startedBy, stoppedAt, result } = report
  const head = [
    `experiment  ${experiment}, of the model ${model}`,
    `state       ${state}, started ${moment(new Date(startedAt))} UTC by ${startedBy}${stoppedAt === null ? '' : `, stopped ${moment(new Date(stoppedAt))} UTC`}`,
  ]
  if (result === null)
    return [
      ...head,
      'It was not analyzed yet. A worker does it every hour; "--analyze" does it now, with the database and not through a server.',
    ].join('\n')
  return [
    ...head,
    ...result.variants.map(
      ({ variant, weight, units }, i) =>
        `${(i === 0 ? 'variants' : '').padEnd(12)}${variant}: version ${versions[variant] ?? '?'}, ${counted(units, 'unit')}, ${plannedText(report, i, weight)}`,
    ),
    `analysis    ${methodText(result)}, as of ${moment(new Date(result.asOf))} UTC`,
    `progress    ${progressText(result, report.state === 'running')}`,
    '',
    metricsTable(result),
    ...slicesText(result),
    ...periodsText(result),
    '',
    table(
      ['health', 'state', ''],
      result.health.map((each) => [each.check, each.state, each.text]),
    ),
    ...decisionText(report.decision),
  ].join('\n')
}

function plannedText({ allocation }: ExperimentReport, variant: number, weight: number): string {
  const last = allocation?.periods.at(-1)
  if (last === undefined) return `planned ${shareText(weight)}`
  const share = shareText(Number((last.shares[variant] ?? 0).toPrecision(3)))
  return `began with ${shareText(weight)}, has ${share} since ${moment(new Date(last.from))} UTC`
}

function methodText({ analysis: { method, alpha, correction } }: ExperimentResult): string {
  const level = formatShare(1 - alpha, 4)
  if (method === 'bayesian') return `Bayesian, ${level} credible intervals`
  const corrected =
    correction === 'none'
      ? 'without correction'
      : correction === 'bh' && method === 'sequential'
        ? 'p corrected by e-BH'
        : `p corrected by ${correction}`
  return method === 'sequential'
    ? `sequential, ${level} intervals that hold at every look, ${corrected}`
    : `at a fixed number of units, ${level} intervals, ${corrected}`
}

function progressText(
  { progress: { units, planned, immatureShare, maturesAt, unitsByDay, daysLeft } }: ExperimentResult,
  isRunning: boolean,
): string {
  const unknown = isRunning ? [`new units a day are known after ${minRateDays} days of exposures`] : []
  const until =
    maturesAt === null || maturesAt === undefined
      ? ''
      : ` (the first at ${moment(new Date(maturesAt.first))} UTC, all exposed so far at ${moment(new Date(maturesAt.last))} UTC)`
  return [
    planned === null ? counted(units, 'mature unit') : `${count(units)} of ${counted(planned, 'planned unit')}`,
    `${shareText(Number(immatureShare.toPrecision(3)))} not mature yet${until}`,
    ...(unitsByDay === null ? unknown : [`${counted(unitsByDay, 'new unit')} a day`]),
    ...(daysLeft === null || daysLeft === 0 ? [] : [`about ${counted(Math.ceil(daysLeft), 'day')} left`]),
  ].join(', ')
}

function metricsTable(result: ExperimentResult): string {
  const rows = result.metrics.flatMap((metric) =>
    metric.comparisons.map((each) => [
      metric.metric,
      metric.role,
      each.variant,
      figure(metric.arms[0]?.value ?? null),
      figure(metric.arms.find(({ variant }) => variant === each.variant)?.value ?? null),
      interval(each.difference),
      each.lift === null ? '' : `${signed(each.lift.value * 100)} %`,
      pText(each),
      verdict(metric, each),
    ]),
  )
  return table(['metric', 'role', 'variant', 'control', 'value', 'difference', 'lift', 'p', 'verdict'], rows)
}

function pText({ p, adjustedP, bayesian }: VariantComparison): string {
  if (bayesian !== null) return `${shareText(bayesian.chance)} better`
  return p === null ? '' : figure(adjustedP ?? p)
}

/** The verdict of a comparison, in words. */
function verdict({ better, role }: MetricResult, each: VariantComparison): string {
  if (each.waitsFor !== null)
    return `not enough units: ${count(each.waitsFor.units)} of ${count(each.waitsFor.needed)} ${each.waitsFor.why}`
  if (role === 'guardrail' && each.guardrail !== null) return `${each.guardrail.verdict} (margin ${shareText(each.guardrail.margin)})`
  const { difference, bayesian } = each
  if (!each.significant || difference === null) {
    const detectable = each.detectable === null ? '' : `; would find ${figure(each.detectable)}`
    return bayesian === null ? `no difference found${detectable}` : `risk ${shareText(bayesian.risk)} of the control`
  }
  return difference.low > 0 === (better === 'higher') ? 'better' : 'worse'
}

function slicesText({ slices, metrics }: ExperimentResult): string[] {
  if (slices.length === 0) return []
  const [primary] = metrics
  return slices.flatMap(({ feature, groups, heterogeneity }) => [
    '',
    `${primary?.metric} by ${feature}: ${heterogeneity.map(({ variant, p }) => `${variant} ${p === null ? 'not known yet' : `same effect in all groups: p ${figure(p)}`}`).join(', ')}`,
    table(
      [feature, 'variant', 'difference', 'verdict'],
      groups.flatMap(({ value, others, comparisons }) =>
        comparisons.map((each) => [
          others ? '(others)' : (value ?? '(none)'),
          each.variant,
          interval(each.difference),
          primary === undefined ? '' : verdict({ ...primary, role: 'primary' }, each),
        ]),
      ),
    ),
  ])
}

function periodsText({ periods, metrics }: ExperimentResult): string[] {
  if (periods.every(({ comparisons }) => comparisons.every(({ difference }) => difference === null))) return []
  return [
    '',
    `${metrics[0]?.metric} by time since the exposure`,
    table(
      ['days', 'variant', 'difference'],
      periods.flatMap(({ fromDay, toDay, comparisons }) =>
        comparisons.map((each) => [`${fromDay} to ${toDay}`, each.variant, interval(each.difference)]),
      ),
    ),
  ]
}

function decisionText(decision: unknown): string[] {
  if (typeof decision !== 'object' || decision === null) return []
  const { variant, by, at, reason } = decision as Readonly<Record<string, unknown>>
  return ['', `decided     ${String(variant)} by ${String(by)} at ${String(at)}: ${String(reason)}`]
}

function interval(of: Interval | null): string {
  return of === null ? '' : `${signed(of.value)} (${figure(of.low)} to ${figure(of.high)})`
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${figure(value)}`
}

export function figure(value: number | null): string {
  return value === null ? '' : String(Number(value.toPrecision(4)))
}
