import { z } from 'zod'
import type { Comparison, ExperimentResult, MetricResult } from '../../../monitoring/experiments/experiment-result.ts'
import type { DayOfUnits, Look } from '../../../monitoring/experiments/stored-results.ts'
import { readLastResult, readLooks, readUnitsByDay } from '../../../monitoring/experiments/stored-results.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { readExperimentRuns } from '../../../registry/experiments/experiment.ts'
import type { Chart } from '../contract/answer.ts'
import type { ExperimentData } from '../contract/experiment.ts'
import { experiment as contract } from '../contract/experiment.ts'
import { percent } from '../models/drift-lines.ts'
import { rounded } from '../models/traffic-charts.ts'
import { readModel } from '../read-model.ts'

/** The last run of an experiment: stored results only. */
export const experimentModel = readModel({
  path: '/experiments/:id/series',
  scope: 'ui:read',
  query: z.object({}),
  data: contract,
  async read({ db, deps, params }) {
    const name = params['id'] ?? ''
    const declared = deps.catalog().experiments.get(name) ?? null
    const [run = null] = await readExperimentRuns(db.kysely, name)
    const spec = run?.spec ?? declared?.spec
    if (spec === undefined) throw new LockstepError('UNKNOWN_DEFINITION', `There is no experiment "${name.slice(0, 200)}".`)
    const result = run === null ? null : await readLastResult(db.kysely, run.id)
    const looks = run === null ? [] : await readLooks(db.kysely, run.id)
    const data: ExperimentData = {
      name,
      model: spec.model,
      description: declared?.description ?? null,
      state: run?.state ?? 'not started',
      startedAt: run?.startedAt.toISOString() ?? null,
      endedAt: run?.stoppedAt?.toISOString() ?? null,
      analyzedAt: result?.asOf ?? null,
      method: methodOf(result),
      verdict: verdictOf(result),
      variants: spec.variants.map(({ name: variant, weight }) => {
        const found = result?.variants.find((each) => each.variant === variant)
        return { variant, version: run?.versions[variant] ?? null, weight, units: found?.units ?? 0, rows: found?.rows ?? 0 }
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
          // the looks that are stored are at the primary metric, which is the first
          series: i === 0 ? looksChart(looks, comparison.variant, comparisonText(metric, comparison)) : null,
        })),
      ),
      health: (result?.health ?? []).map(({ check, state, text }) => ({ check, state, text })),
      exposures: run === null ? { finding: 'It has not started.', series: [] } : exposuresChart(await readUnitsByDay(db.kysely, run.id)),
      progress: result?.progress ?? null,
    }
    return { data, ...(result === null ? {} : { mature: result.progress.immatureShare === 0 }) }
  },
})

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
  { variant, control, state, waitsFor, difference, lift, significant }: Comparison,
): string {
  if (state === 'not enough units' || difference === null)
    return `${metric} of ${variant}: not enough units${waitsFor === null ? '' : `, ${waitsFor.units} of ${waitsFor.needed}`}.`
  const by =
    lift === null
      ? `${rounded(difference.value)} (${rounded(difference.low)} to ${rounded(difference.high)})`
      : `${percent(lift.value)} (${percent(lift.low)} to ${percent(lift.high)})`
  if (!significant) return `${variant} does not differ from ${control} in ${metric} for certain: ${by}.`
  const isBetter = difference.value > 0 === (better === 'higher')
  return `${variant} is ${isBetter ? 'better' : 'worse'} than ${control} in ${metric}, by ${by}.`
}

/** The difference with its interval at each look. */
function looksChart(looks: readonly Look[], variant: string, finding: string): Chart {
  const points = looks.map(({ asOf, units, comparisons }) => {
    const found = comparisons.find((each) => each.variant === variant)?.difference ?? null
    const interval = found === null ? {} : { low: found.low, high: found.high }
    return { t: Date.parse(asOf), v: found?.value ?? null, ...interval, n: units }
  })
  return { finding, series: [{ label: `${variant}, difference`, unit: 'value', points }] }
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
