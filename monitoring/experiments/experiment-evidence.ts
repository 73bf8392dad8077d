import type { ExperimentSpec, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { dayMicros } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ExposedUnits } from './exposed-units.ts'
import { exposureCounts, noCounts } from './exposure-counts.ts'
import type { ExposureCounts } from './exposure-counts.ts'
import type { AskedMetric, PlannedMetric, UnitsCatalog } from './plan-units.ts'
import type { ReadUnitsOptions } from './read-units.ts'
import { featureNames, metricMatureAfter, planUnits } from './plan-units.ts'
import { readUnits } from './read-units.ts'
import type { AllocationPeriod } from '../../registry/experiments/allocation.ts'
import type { PeriodSums } from './shared-periods.ts'
import { createPeriodSummer, periodIndex } from './shared-periods.ts'
import type { SliceEvidence } from './slice-sums.ts'
import { createSliceSummer } from './slice-sums.ts'
import type { UnitBins } from './unit-bins.ts'
import { createUnitBinner } from './unit-bins.ts'
import type { ExposedUnit, UnitFigure } from './unit-figures.ts'
import type { UnitSums, UnitSummer } from './unit-sums.ts'
import { createUnitSummer } from './unit-sums.ts'

/** The input of an analysis of an experiment, as plain JSON. The same evidence gives the same results. */
export interface ExperimentEvidence {
  /** Epoch microseconds. */
  readonly asOf: number
  readonly exposures: ExposureCounts
  /** By metric of the experiment. */
  readonly metrics: readonly MetricEvidence[]
  /** The names of the covariates, and their sums over all units, by variant. */
  readonly covariates: { readonly names: readonly string[]; readonly arms: readonly UnitSums[] }
  /** Only if the shares follow the results. `units`: how many units came, by period and variant. */
  readonly allocation?: { readonly periods: readonly AllocationPeriod[]; readonly units: readonly (readonly number[])[] }
  /** The primary metric in groups of units. */
  readonly slices: readonly SliceEvidence[]
  /** The primary metric by time since the exposure. */
  readonly periods: readonly PeriodEvidence[]
}

/** By variant, as the experiment lists them. */
export interface MetricEvidence {
  readonly sums: readonly UnitSums[]
  /** Only of a quantile. */
  readonly bins: readonly UnitBins[] | null
  /** Units whose window has not passed, or the time of outcomes after it. */
  readonly immature: readonly number[]
  /** The first and the last exposure of those units, epoch microseconds; null: none. Older evidence has none. */
  readonly immatureSince?: ExposureSpan | null
  /** How long after its exposure a unit counts. */
  readonly matureAfterMicros: number
  /** By period of the allocation, and variant. */
  readonly byPeriod?: readonly (readonly PeriodSums[])[]
}

export interface ExposureSpan {
  readonly first: number
  readonly last: number
}

export interface PeriodEvidence {
  /** Since the exposure. */
  readonly fromMicros: number
  readonly toMicros: number
  readonly arms: readonly UnitSums[]
}

/**
 * Reads all units of an experiment and sums them up, in one pass and bounded memory.
 *
 * @throws LockstepError whatever `planUnits` and `readUnits` throw
 */
export async function gatherExperimentEvidence(
  db: Database,
  catalog: UnitsCatalog,
  spec: ExperimentSpec,
  exposed: ExposedUnits,
  options: ReadUnitsOptions = {},
): Promise<ExperimentEvidence> {
  const asked = spec.metrics.map((metric): AskedMetric => ({ spec: metric, afterMicros: metric.withinMicros }))
  // plain sums by time are biased if shares follow the results
  const periods = exposed.periods === undefined ? periodsOf(spec.metrics[0] as MetricSpec) : []
  const plan = planUnits(catalog, spec, [...asked, ...periods])
  const variants = spec.variants.map(({ name }) => name)
  const place = (name: string): number => plan.features.indexOf(name)
  const covariates = featureNames(spec.covariates)
  const covariateAt = covariates.map(place)
  const width = 2 + 2 * covariates.length
  const summers = (): Summers => variants.map(() => createUnitSummer(width))
  const slices = featureNames(spec.slices).map((name) => ({ at: place(name), summer: createSliceSummer(name, summers) }))
  const sums = [...asked, ...periods].map(summers)
  const bins = asked.map(({ spec: { kind } }) => (kind === 'quantile' ? variants.map(() => createUnitBinner()) : null))
  const immature = asked.map(() => variants.map(() => 0))
  const immatureSince = asked.map((): ExposureSpan | null => null)
  const ofAll = variants.map(() => createUnitSummer(Math.max(2, 2 * covariates.length)))
  const allocation = exposed.periods === undefined ? null : allocationSums(exposed.periods, asked.length, variants.length)
  const row = new Float64Array(width)

  /** Adds a value of a metric, or of the primary one in a period; `row` holds the covariates of its unit. */
  function addFigure(i: number, arm: number, { numerator, denominator }: UnitFigure, unit: ExposedUnit, period: number): void {
    row[0] = numerator
    row[1] = denominator
    sums[i]?.[arm]?.add(row)
    bins[i]?.[arm]?.add(numerator)
    allocation?.metrics[i]?.add(period, arm, numerator)
    if (i === 0) for (const { at, summer } of slices) summer.add(arm, unit.features[at] ?? null, row)
  }

  function addUnit(unit: ExposedUnit): void {
    const { variant, exposedAt, features, figures, mature } = unit
    const arm = variants.indexOf(variant)
    if (arm < 0) return
    const period = allocation === null ? 0 : allocation.count(unit, arm)
    for (const [k, at] of covariateAt.entries()) {
      const value = numberOf(features[at] ?? null)
      row[2 + 2 * k] = value ?? 0
      row[3 + 2 * k] = value === null ? 1 : 0
    }
    ofAll[arm]?.add(covariates.length === 0 ? nothing : row.subarray(2))
    for (const [i, figure] of figures.entries()) {
      const waiting = immature[i]
      if (figure !== null) addFigure(i, arm, figure, unit, period)
      else if (waiting !== undefined && mature[i] !== true) {
        waiting[arm] = (waiting[arm] as number) + 1
        const { first, last } = immatureSince[i] ?? { first: exposedAt, last: exposedAt }
        immatureSince[i] = { first: Math.min(first, exposedAt), last: Math.max(last, exposedAt) }
      }
    }
  }

  await readUnits(db, plan, exposed, addUnit, options)
  return {
    asOf: exposed.asOf,
    exposures: exposed.instead === undefined ? await exposureCounts(db, exposed, variants) : noCounts(variants),
    metrics: asked.map((_, i) => ({
      sums: summed(sums[i] as Summers),
      bins: bins[i]?.map((each) => each.bins()) ?? null,
      immature: immature[i] as number[],
      immatureSince: immatureSince[i] ?? null,
      ...(allocation === null ? {} : { byPeriod: allocation.metrics[i]?.sums() ?? [] }),
      matureAfterMicros: metricMatureAfter(plan, plan.metrics[i] as PlannedMetric),
    })),
    covariates: { names: covariates, arms: summed(ofAll) },
    ...(allocation === null ? {} : { allocation: { periods: allocation.periods, units: allocation.units } }),
    slices: slices.flatMap(({ summer }) => summer.slices()),
    periods: periods.map(({ spec: { withinMicros }, afterMicros }, k) => ({
      fromMicros: afterMicros - withinMicros,
      toMicros: afterMicros,
      arms: summed(sums[asked.length + k] as Summers),
    })),
  }
}

/** Sums by period of the allocation. */
function allocationSums(periods: readonly AllocationPeriod[], metrics: number, arms: number) {
  const units = periods.map(() => new Array<number>(arms).fill(0))
  return {
    periods,
    /** How many units came, by period and variant. */
    units,
    metrics: Array.from({ length: metrics }, () => createPeriodSummer(periods.length, arms)),
    /** @returns the period of the unit */
    count({ exposedAt, propensity }: ExposedUnit, arm: number): number {
      const period = periodIndex(periods, exposedAt, arm, propensity)
      const came = units[period]
      if (came !== undefined) came[arm] = (came[arm] as number) + 1
      return period
    },
  }
}

type Summers = readonly UnitSummer[]
const nothing = [0, 0]

function summed(arms: Summers): UnitSums[] {
  return arms.map((arm) => arm.sums())
}

function numberOf(value: Value | null): number | null {
  if (typeof value === 'boolean' || typeof value === 'bigint') return Number(value)
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

const maxPeriods = 7

/**
 * The primary metric by day since the exposure, or by some days: whether an effect fades as it loses its novelty. Only
 * for totals, which can be split by time; none if the window is shorter than two days.
 */
function periodsOf(metric: MetricSpec): AskedMetric[] {
  const measures = metric.kind === 'ratio' ? [metric.numerator, metric.denominator] : [metric.value]
  const isTotal = measures.every(({ of, aggregate }) => of.kind === 'source' && (aggregate === 'sum' || aggregate === 'count'))
  const days = Math.floor(metric.withinMicros / dayMicros)
  if (days < 2 || metric.kind === 'quantile' || metric.per === 'exposure' || !isTotal) return []
  const step = Math.ceil(days / maxPeriods) * dayMicros
  return Array.from({ length: Math.floor(metric.withinMicros / step) }, (_, k) => ({
    spec: { ...metric, withinMicros: step },
    afterMicros: (k + 1) * step,
  }))
}
