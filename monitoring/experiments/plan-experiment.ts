import { LockstepError } from '../../kernel/errors.ts'
import type { ExperimentSpec, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import { dayMicros } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlMoment, sqlText } from '../../runtime/postgres/sql.ts'
import type { PowerOptions } from '../../statistics/power.ts'
import { detectableEffect, unitsNeeded } from '../../statistics/power.ts'
import { adjustedArms, metricValue } from './analyze-experiment.ts'
import { gatherExperimentEvidence } from './experiment-evidence.ts'
import { loggedUnit } from './exposed-units.ts'
import { minRateDays, newUnitsRate } from './new-units-rate.ts'
import type { UnitsCatalog } from './plan-units.ts'
import type { ReadUnitsOptions } from './read-units.ts'
import type { UnitSums } from './unit-sums.ts'

export interface PlanQuery {
  /** The share of the units that is in the experiment. */
  readonly coverage: number
  /** Epoch microseconds: the logged predictions from `from` until `asOf`. */
  readonly from: number
  readonly asOf: number
  /** The effect to find, as a share of the primary metric; null: not stated. */
  readonly effect: number | null
  readonly power: number
}

/** The effects that an experiment could find, by the traffic and the metric of the past; plain JSON. */
export interface ExperimentPlan {
  readonly experiment: string
  readonly model: string
  readonly method: string
  readonly alpha: number
  readonly power: number
  readonly metric: {
    readonly name: string
    readonly value: number
    /** The standard deviation between units, after what the covariates explain. */
    readonly deviation: number
    /** The share of the variance that the covariates explain; null: there are none. */
    readonly explained: number | null
    /** The units behind it. */
    readonly units: number
  }
  readonly traffic: {
    /** From the first prediction that was read until now. */
    readonly days: number
    /** In the log, whether they would be in the experiment or not. */
    readonly units: number
    /** New units by day, lately, that would be in the experiment; null: the log is too short to know. */
    readonly unitsByDay: number | null
  }
  /** After some time: the units, and the effect that they find. */
  readonly horizons: readonly PlanHorizon[]
  /** What the stated effect needs; null: none is stated. */
  readonly needs: { readonly effect: number; readonly units: number; readonly days: number | null } | null
  /** What the user should know, one sentence each. */
  readonly notes: readonly string[]
}

export interface PlanHorizon {
  readonly days: number
  readonly units: number
  /** Whether there may be more units, and a smaller effect be found: the log is too short to know. */
  readonly atLeast: boolean
  /** In the unit of the metric, and as a share of it. */
  readonly detectable: number | null
  readonly detectableShare: number | null
}

const horizonDays = [7, 14, 28, 56]
const minUnits = 100

/**
 * Plans an experiment: its primary metric is computed for the units of the prediction log as if they had been exposed
 * at their first prediction, by the same join as the results will be.
 *
 * @throws LockstepError `INVALID_REQUEST` where the log has too few units, or the metric is a quantile
 */
export async function planExperiment(
  db: Database,
  catalog: UnitsCatalog,
  spec: ExperimentSpec,
  query: PlanQuery,
  options: ReadUnitsOptions = {},
): Promise<ExperimentPlan> {
  const [metric] = spec.metrics as readonly [MetricSpec]
  if (metric.kind === 'quantile')
    throw new LockstepError(
      'INVALID_REQUEST',
      `The primary metric "${metric.name}" of "${spec.name}" is a quantile, which cannot be planned.`,
    )
  const { from, asOf, coverage, effect, power } = query
  const variant = 'planned'
  const alone = { ...spec, variants: [{ name: variant, serves: 'champion', weight: 1 }], metrics: [metric], slices: [] }
  const instead = { model: spec.model, variant, from }
  const exposed = { experimentId: 0, experiment: spec.name, unit: spec.unit, asOf, instead }
  const evidence = await gatherExperimentEvidence(db, catalog, alone, exposed, options)
  const sums = evidence.metrics[0]?.sums as readonly [UnitSums]
  const { arms, explained } = adjustedArms(metric, sums)
  const [arm] = arms
  const value = metricValue(metric, sums[0], null)
  if (arm === undefined || arm.n < minUnits || value === null) throw tooFewUnits(spec, metric, arm?.n ?? 0)
  const deviation = Math.sqrt(arm.variance)
  const { firstSeen, begin, activeDays } = await readFirstSeen(db, spec, from, asOf)
  const rate = newUnitsRate(firstSeen, activeDays)
  const unitsAfter = (days: number): number => Math.floor(coverage * unitsIn(firstSeen, days, rate))
  const control = spec.variants[0]?.weight ?? 0.5
  const treatment = Math.min(...spec.variants.slice(1).map(({ weight }) => weight))
  const { method, alpha, units: planned } = spec.analysis
  const optionsFor = (units: number): PowerOptions =>
    method === 'sequential' ? { alpha, tightestAt: (planned ?? units) * (control + treatment) } : { alpha }
  const horizons = horizonDays.map((days): PlanHorizon => {
    const units = unitsAfter(days)
    const sizes = { control: units * control, treatment: units * treatment }
    const found = units < 2 ? null : detectableEffect(sizes, power, optionsFor(units)) * deviation
    const atLeast = rate === null && days > firstSeen.length
    return { days, units, atLeast, detectable: found, detectableShare: found === null || value === 0 ? null : found / Math.abs(value) }
  })
  const matureAfterDays = (evidence.metrics[0]?.matureAfterMicros ?? 0) / dayMicros
  return {
    experiment: spec.name,
    model: spec.model,
    method,
    alpha,
    power,
    metric: { name: metric.name, value, deviation, explained, units: arm.n },
    traffic: {
      days: (asOf - begin) / dayMicros,
      units: firstSeen.reduce((sum, units) => sum + units, 0),
      unitsByDay: rate === null ? null : coverage * rate,
    },
    horizons,
    needs: effect === null ? null : needsOf(),
    notes:
      rate === null
        ? [
            `The log has predictions of ${activeDays} of the ${minRateDays} days that the plan needs, so the new units a day are not known: units that return may look new.`,
            'The plan counts only the units in the log. Plan again when the log has more days, or look further back (--since).',
          ]
        : [],
  }

  function needsOf(): ExperimentPlan['needs'] {
    const share = treatment / (control + treatment)
    const wanted = ((effect ?? 0) * Math.abs(value as number)) / deviation
    let both = unitsNeeded(wanted, share, power, { alpha })
    // a sequence is tightest at the units that are planned for it
    for (let i = 0; i < 5 && method === 'sequential'; i++) both = unitsNeeded(wanted, share, power, { alpha, tightestAt: both })
    const units = Math.ceil(both / (control + treatment))
    let days = 1
    while (days < 3650 && unitsAfter(days) < units) days++
    return { effect: effect ?? 0, units, days: days >= 3650 ? null : days + matureAfterDays }
  }
}

interface LoggedUnits {
  /** By day of the log: units that had no prediction before. */
  readonly firstSeen: readonly number[]
  /** The first prediction, epoch microseconds. */
  readonly begin: number
  /** The days that have a prediction. */
  readonly activeDays: number
}

async function readFirstSeen(db: Pick<Database, 'query'>, spec: ExperimentSpec, from: number, asOf: number): Promise<LoggedUnits> {
  const rows = await db.query<{ day: number; begin: number; units: number }>(
    `SELECT day, (extract(epoch FROM min(at)) * 1000000)::float8 AS begin, (count(*) FILTER (WHERE day = first))::float8 AS units
     FROM (
       SELECT day, min(at) AS at, min(day) OVER (PARTITION BY unit) AS first
       FROM (
         SELECT p.at, ${loggedUnit(spec.unit)} AS unit, floor((extract(epoch FROM p.at) * 1000000 - ${from}) / ${dayMicros})::int AS day
         FROM lockstep.prediction_log p WHERE p.model = ${sqlText(spec.model)} AND p.at >= ${sqlMoment(from)} AND p.at <= ${sqlMoment(asOf)}
       ) logged WHERE unit IS NOT NULL GROUP BY unit, day
     ) days_of_unit GROUP BY day ORDER BY day`,
  )
  const first = rows[0]?.day ?? 0
  const days = Math.max(1, Math.ceil((asOf - from) / dayMicros) - first)
  const units = new Map(rows.map((row) => [row.day - first, row.units]))
  return {
    firstSeen: Array.from({ length: days }, (_, day) => units.get(day) ?? 0),
    begin: rows[0]?.begin ?? asOf,
    activeDays: rows.length,
  }
}

/** Units after some days: as the log has them, then at a rate; null: only those in the log. */
function unitsIn(firstSeen: readonly number[], days: number, rate: number | null): number {
  const logged = firstSeen.slice(0, days).reduce((sum, units) => sum + units, 0)
  return logged + Math.max(0, days - firstSeen.length) * (rate ?? 0)
}

function tooFewUnits(spec: ExperimentSpec, metric: MetricSpec, units: number): LockstepError {
  return new LockstepError(
    'INVALID_REQUEST',
    `The plan of "${spec.name}" needs ${minUnits} units of the prediction log whose window of "${metric.name}" has passed; there are ${units}. Log predictions of "${spec.model}" (LOCKSTEP_LOG_PREDICTIONS), or look further back (--since).`,
    { details: { experiment: spec.name, units } },
  )
}
