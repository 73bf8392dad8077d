import { z } from 'zod'
import type { VariantComparison, ExperimentResult, Interval, MetricResult } from '../../../monitoring/experiments/experiment-result.ts'
import { withoutForecast } from '../../../monitoring/experiments/experiment-report.ts'
import type { DayOfUnits, ExperimentLook, SplitLook } from '../../../monitoring/experiments/stored-results.ts'
import { readAnalysisTimes, readLastResult, readLooks, readSplits, readUnitsByDay } from '../../../monitoring/experiments/stored-results.ts'
import { alarmP } from '../../../monitoring/experiments/experiment-health.ts'
import { evidenceMeter } from '../../../monitoring/rollouts/gates/gate.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import type { ExperimentRun } from '../../../registry/experiments/experiment.ts'
import { readExperimentRuns } from '../../../registry/experiments/experiment.ts'
import type { Chart, Series } from '../contract/answer.ts'
import type { ExperimentData } from '../contract/experiment.ts'
import { experiment as contract } from '../contract/experiment.ts'
import { percent } from '../models/drift-lines.ts'
import { rounded } from '../models/traffic-charts.ts'
import { readModel } from '../read-model.ts'

const maxAnalyses = 500

/** The last run of an experiment, as its analyses until a moment knew it: stored results only. */
export const experimentModel = readModel({
  path: '/experiments/:id/series',
  scope: 'ui:read',
  data: contract,
  async read({ db, deps, params, now, isPast }) {
    const name = params['id'] ?? ''
    const declared = deps.catalog().experiments.get(name) ?? null
    const runs = await readExperimentRuns(db.kysely, name)
    const until = isPast ? new Date(Math.floor(now / 1000)) : undefined
    const run = runs.find(({ startedAt }) => until === undefined || startedAt <= until) ?? null
    const spec = (run ?? declared ?? runs[0])?.spec
    if (spec === undefined) throw new LockstepError('UNKNOWN_DEFINITION', `There is no experiment "${name.slice(0, 200)}".`)
    const result = run === null ? null : withoutForecast(await readLastResult(db.kysely, run.id, until), stateAt(run, until))
    const looks = run === null ? [] : await readLooks(db.kysely, run.id, until)
    const data: ExperimentData = {
      name,
      model: spec.model,
      description: declared?.description ?? null,
      state: run === null ? 'not started' : stateAt(run, until),
      startedAt: run?.startedAt.toISOString() ?? null,
      endedAt: run === null || stateAt(run, until) === 'running' ? null : (run.stoppedAt?.toISOString() ?? null),
      analyzedAt: result?.asOf ?? null,
      analyses: run === null ? [] : thinned(await readAnalysisTimes(db.kysely, run.id)).map((at) => at.toISOString()),
      method: methodOf(result),
      decision: run === null || stateAt(run, until) !== 'decided' ? null : decisionText(run),
      verdict: result === null && isPast ? 'There was no result yet.' : verdictOf(result),
      variants: spec.variants.map(({ name: variant, weight }) => {
        const found = result?.variants.find((each) => each.variant === variant)
        const counted = result === null ? { units: null, rows: null } : { units: found?.units ?? 0, rows: found?.rows ?? 0 }
        return { variant, version: run?.versions[variant] ?? null, weight, ...counted }
      }),
      metrics: (result?.metrics ?? []).flatMap((metric, i) =>
        metric.comparisons.map((comparison) => ({
          metric: metric.metric,
          role: metric.role,
          better: metric.better,
          variant: comparison.variant,
          says: comparisonText(metric, comparison),
          lift: comparison.lift,
          difference: comparison.difference,
          significant: comparison.significant,
          detectable: comparison.detectable,
          // the looks that are stored are at the primary metric, which is the first
          series: i === 0 ? looksChart(looks, metric, comparison) : null,
        })),
      ),
      split: run === null ? null : splitOf(result, await readSplits(db.kysely, run.id, until)),
      health: (result?.health ?? []).map(({ check, state, text }) => ({ check, state, text })),
      exposures:
        run === null
          ? { finding: isPast ? 'It had not started.' : 'It has not started.', series: [] }
          : exposuresChart(await readUnitsByDay(db.kysely, run.id, until)),
      progress: result?.progress ?? null,
    }
    return {
      data,
      ...(result === null ? {} : { mature: result.metrics.every(({ arms }) => arms.every(({ immature }) => immature === 0)) }),
    }
  },
})

/** The state of a run at a moment. It may be decided after it was stopped. */
function stateAt({ state, stoppedAt, decision }: ExperimentRun, until: Date | undefined): ExperimentRun['state'] {
  if (until === undefined) return state
  if (stoppedAt === null || stoppedAt > until) return 'running'
  const decidedAt = decided.safeParse(decision)
  return decidedAt.success && Date.parse(decidedAt.data.at) > until.getTime() ? 'stopped' : state
}

const decided = z.object({
  at: z.string(),
  by: z.string(),
  reason: z.string(),
  variant: z.string(),
  version: z.number(),
})

function decisionText({ decision }: ExperimentRun): string | null {
  const found = decided.safeParse(decision)
  if (!found.success) return null
  const { by, reason, variant, version } = found.data
  return `${by} decided for ${variant} (version ${version}): ${reason.replace(/[.!?]?$/, '.')}`
}

/** Some of many moments, evenly; the newest is one of them. */
function thinned(moments: readonly Date[]): readonly Date[] {
  const step = Math.ceil(moments.length / maxAnalyses)
  return moments.filter((_, i) => (moments.length - 1 - i) % step === 0)
}

function methodOf(result: ExperimentResult | null): string {
  if (result === null) return 'It was not analyzed yet. A worker does it every hour.'
  const { method, alpha } = result.analysis
  const level = percent(1 - alpha)
  if (method === 'bayesian') return `Bayesian, with credible intervals of ${level}.`
  return method === 'sequential'
    ? `Sequential: the intervals of ${level} hold at every look, so you may look as often as you like.`
    : `At a fixed number of units, with intervals of ${level}: they hold once, at the end.`
}

function verdictOf(result: ExperimentResult | null): string {
  if (result === null) return 'There is no result yet.'
  const [primary] = result.metrics
  const failing = result.health.filter(({ state }) => state === 'failing')
  const warning = failing.length === 0 ? '' : `Do not trust it yet: ${failing.map(({ text }) => text).join(' ')} `
  const broken = result.metrics.flatMap((metric) =>
    metric.comparisons
      .filter(({ guardrail }) => guardrail?.verdict === 'fails')
      .map(({ variant }) => `${variant} makes ${metric.metric} worse than allowed.`),
  )
  if (primary === undefined) return `${warning}It has no metric.`
  const found = primary.comparisons.map((comparison) => comparisonText(primary, comparison))
  return [warning, ...found, ...broken].filter((text) => text !== '').join(' ')
}

function comparisonText(
  { metric, better }: MetricResult,
  { variant, control, state, waitsFor, difference, lift, significant }: VariantComparison,
): string {
  if (state === 'not enough units' || difference === null)
    return `${metric} of ${variant}: not enough units${waitsFor === null ? '' : `, ${waitsFor.units} of ${waitsFor.needed}`}.`
  const by =
    lift === null
      ? `${rounded(difference.value)} (${rounded(difference.low)} to ${rounded(difference.high)})`
      : `${percent(lift.value)} (${percent(lift.low)} to ${percent(lift.high)})`
  if (!significant) return `It is not shown that ${variant} differs from ${control} in ${metric}: ${by}.`
  const isBetter = difference.value > 0 === (better === 'higher')
  return `${variant} is ${isBetter ? 'better' : 'worse'} than ${control} in ${metric}, by ${by}.`
}

/**
 * The difference with its interval at each look. In grey the interval that is not adjusted for repeated looks, with a
 * mark at each look where it excludes 0 and the other one does not.
 */
export function looksChart(looks: readonly ExperimentLook[], metric: MetricResult, comparison: VariantComparison): Chart {
  const { variant, control } = comparison
  const found = looks.map(({ asOf, units, comparisons }) => {
    const { difference = null, unadjusted = null } = comparisons.find((each) => each.variant === variant) ?? {}
    return { t: Date.parse(asOf), units, difference, unadjusted }
  })
  const pointOf = (t: number, of: Interval | null) => ({ t, v: of?.value ?? null, ...(of === null ? {} : { low: of.low, high: of.high }) })
  const early = found.flatMap(({ t, difference, unadjusted }) => {
    if (difference === null || unadjusted === null || excludesZero(difference) || !excludesZero(unadjusted)) return []
    return [{ t, winner: unadjusted.value > 0 === (metric.better === 'higher') ? variant : control }]
  })
  const all: Series[] = [
    {
      label: `${variant}, difference in ${metric.metric}`,
      unit: 'value',
      points: found.map(({ t, units, difference }) => ({ ...pointOf(t, difference), n: units })),
    },
  ]
  if (found.some(({ unadjusted }) => unadjusted !== null)) {
    const points = found.map(({ t, unadjusted }) => pointOf(t, unadjusted))
    all.push({ label: 'not adjusted for repeated looks', unit: 'value', grey: true, points })
  }
  if (early.length === 0) return { finding: comparisonText(metric, comparison), series: all }
  const counts = [control, variant].flatMap((name) => {
    const count = early.filter(({ winner }) => winner === name).length
    return count === 0 ? [] : [`${count} for ${name}`]
  })
  return {
    finding: `At ${early.length} of ${looks.length} looks, the unadjusted interval would have decided too early: ${counts.join(', ')}.`,
    series: all,
    marks: {
      label: 'Decides too early',
      points: early.map(({ t, winner }) => ({ t, text: `looking then would have decided for ${winner}` })),
    },
  }
}

function excludesZero({ low, high }: Interval): boolean {
  return low > 0 || high < 0
}

/** The evidence against the planned split at each analysis. It is valid at every look, so it never falls. */
function splitOf(result: ExperimentResult | null, looks: readonly SplitLook[]): ExperimentData['split'] {
  const check = result?.health.find((each) => each.check === 'sample ratio')
  if (check === undefined || check.value === null) return null
  const { bound } = evidenceMeter(1, alarmP)
  const points = looks.map(({ asOf, p }) => ({ t: asOf.getTime(), v: p === null ? null : evidenceMeter(p, alarmP).value }))
  return { bound, chart: { finding: check.text, series: [{ label: 'evidence of another split', unit: 'odds', points }] } }
}

/** New units by day and variant, as the analyses of the experiment counted them. */
function exposuresChart(days: readonly DayOfUnits[]): Chart {
  const last = days.at(-1)
  if (last === undefined) return { finding: 'No units were counted yet. A worker does it every hour.', series: [] }
  const total = last.variants.reduce((sum, { units }) => sum + units, 0)
  const unitsOf = (day: DayOfUnits | undefined, variant: string): number =>
    day?.variants.find((each) => each.variant === variant)?.units ?? 0
  return {
    finding: `${total.toLocaleString('en-US')} units have seen a variant.`,
    series: last.variants.map(({ variant }) => ({
      label: variant,
      unit: 'count',
      // units that were erased since are in no later count
      points: days.map((day, i) => ({ t: day.day, v: Math.max(0, unitsOf(day, variant) - unitsOf(days[i - 1], variant)) })),
    })),
  }
}
