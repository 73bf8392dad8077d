import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import { compileService } from '../../kernel/compile-service.ts'
import type { ExperimentSpec, ExposureFeatures, MetricSpec } from '../../kernel/experiment-spec.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ServiceMember } from '../../kernel/service-spec.ts'
import type { Value } from '../../kernel/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/view-spec.ts'
import type { JoinOptions } from '../../offline/join.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import type { Database } from '../../runtime/database.ts'
import type { AskedWindow, ExposedUnits } from './exposed-units.ts'
import { exposureKind, matureAfter, predictionKinds, unitsQuery } from './exposed-units.ts'
import type { CompiledMeasure } from './metric-views.ts'
import { metricViews } from './metric-views.ts'

/** A unit of an experiment with its figures. */
export interface ExposedUnit {
  readonly unit: string
  readonly variant: string
  /** Epoch microseconds. */
  readonly exposedAt: number
  readonly propensity: number
  /** By index of the plan's `features`, as of the exposure. */
  readonly features: readonly (Value | null)[]
  /** By metric: null where it has no value for this unit, or not yet. */
  readonly figures: readonly (UnitFigure | null)[]
  /** By metric: whether the window has passed, and the time of outcomes after its last prediction. */
  readonly mature: readonly boolean[]
}

export interface UnitFigure {
  /** The value; of a ratio its numerator; of a metric by exposure the sum over its exposures. */
  readonly numerator: number
  /** 1 for a value by unit. */
  readonly denominator: number
}

/** What is asked about each unit. */
export interface UnitsPlan {
  readonly service: ServicePlan
  /** Names of the features as of the exposure: covariates and slices. */
  readonly features: readonly string[]
  readonly windows: readonly AskedWindow[]
  readonly metrics: readonly PlannedMetric[]
}

export interface PlannedMetric {
  readonly spec: MetricSpec
  /** Index of its window. */
  readonly window: number
  readonly value: PlannedMeasure
  readonly denominator: PlannedMeasure | null
}

export interface PlannedMeasure extends CompiledMeasure {
  readonly aggregate: string
  /** Of a prediction: into `afterPrediction` of the window. */
  readonly time: number
  /** Into the service's features. */
  readonly places: readonly number[]
}

export interface UnitsCatalog {
  readonly views: ReadonlyMap<DefinitionId, ViewPlan>
  outcome(name: string): OutcomePlan
}

/** A metric, and how long after the exposure it is asked for. Its window is its `withinMicros` before that. */
export interface AskedMetric {
  readonly spec: MetricSpec
  readonly afterMicros: number
}

/**
 * @param asked default: the metrics of the experiment, each at the end of its window
 * @throws LockstepError `UNKNOWN_DEFINITION`, `UNKNOWN_FEATURE`, `FEATURE_NAME_CLASH`
 */
export function planUnits(
  catalog: UnitsCatalog,
  spec: ExperimentSpec,
  asked: readonly AskedMetric[] = spec.metrics.map((metric) => ({ spec: metric, afterMicros: metric.withinMicros })),
): UnitsPlan {
  const { views, members, measures } = metricViews(
    asked.map((each) => each.spec),
    (name) => catalog.outcome(name),
  )
  const features = distinctFeatures([...spec.covariates, ...spec.slices])
  const service = compileService({
    spec: { name: `_experiment_${spec.name}`, version: 1, members: [...members, ...features.map(({ member }) => member)] },
    fingerprint: '',
    views: new Map([...catalog.views, ...views]),
    onDemand: new Map(),
  })
  const placeOf = (name: string): number => service.features.findIndex((feature) => feature.name === name)
  const windows: AskedWindow[] = []
  const metrics = asked.map(({ spec: metric, afterMicros }, i): PlannedMetric => {
    const [value, denominator] = measures[i] as (typeof measures)[number]
    const stated = metric.kind === 'ratio' ? [metric.numerator, metric.denominator] : [metric.value]
    const afterPrediction = timesOf(metric, [value, denominator])
    const isSame = (window: AskedWindow): boolean =>
      window.afterMicros === afterMicros && window.afterPrediction.join() === afterPrediction.join()
    let window = windows.findIndex(isSame)
    if (window < 0) window = windows.push({ afterMicros, afterPrediction }) - 1
    const planned = (measure: CompiledMeasure, part: number): PlannedMeasure => ({
      ...measure,
      aggregate: stated[part]?.aggregate ?? 'sum',
      time: afterPrediction.indexOf(measure.afterPrediction ?? 0),
      places: measure.features.map(placeOf),
    })
    return {
      spec: metric,
      window,
      value: planned(value, 0),
      denominator: denominator === null ? null : planned(denominator, 1),
    }
  })
  return { service, features: features.map(({ name }) => name), windows, metrics }
}

/** How long after each prediction a metric asks what came of it. One that only counts predictions asks at once. */
function timesOf({ per }: MetricSpec, measures: readonly (CompiledMeasure | null)[]): number[] {
  const times = [...new Set(measures.flatMap((measure) => measure?.afterPrediction ?? []))]
  return times.length === 0 && per === 'exposure' ? [0] : times.toSorted((a, b) => a - b)
}

/** How long after the exposure the figure of a metric is final. */
export function metricMatureAfter({ windows }: UnitsPlan, { window }: PlannedMetric): number {
  return matureAfter(windows[window] as AskedWindow)
}

/** Whether the figure of a unit is a ratio: of the metric itself, or by its exposures. */
export function hasDenominator({ kind, per }: MetricSpec): boolean {
  return kind === 'ratio' || per === 'exposure'
}

/** Each feature once, as a covariate may also be a slice. */
function distinctFeatures(uses: readonly ExposureFeatures[]): readonly { readonly name: string; readonly member: ServiceMember }[] {
  const found = new Map<string, ServiceMember>()
  for (const { use, features } of uses)
    for (const feature of features) found.set(featureName(use.alias, feature), { kind: 'view', use, features: [feature] })
  return [...found].map(([name, member]) => ({ name, member }))
}

export function featureName(alias: string | null, feature: string): string {
  return alias === null ? feature : `${alias}__${feature}`
}

/** The names of features as of the exposure. */
export function featureNames(uses: readonly ExposureFeatures[]): string[] {
  return distinctFeatures(uses).map(({ name }) => name)
}

export interface ReadUnitsOptions {
  readonly signal?: AbortSignal | undefined
  readonly onUnits?: ((done: number, total: number) => void) | undefined
}

/**
 * Reads the units of an experiment with their figures, in the order of their names. The point-in-time join computes
 * the figures, so late rows count as everywhere: a row is in a window if it happened and was known before the window's
 * end. What came of a prediction is asked at the end of the prediction's own time: asked at the end of the window, a
 * variant whose outcomes come sooner would have more of them. The figures of a unit whose window has passed never
 * change. Memory does not grow with the units.
 *
 * @throws LockstepError whatever `openSpine` and `joinSpine` throw
 */
export async function readUnits(
  db: Database,
  plan: UnitsPlan,
  exposed: ExposedUnits,
  onUnit: (unit: ExposedUnit) => Promise<void> | void,
  { signal, onUnits }: ReadUnitsOptions = {},
): Promise<void> {
  const sql = unitsQuery(exposed, plan.service.keys, plan.windows)
  const spine = await openSpine(db, plan.service, { sql }, { time: '_at', order: 'given', signal, largeJoin: true })
  try {
    const slot = (name: string): number => spine.columns.findIndex((column) => column.name === name)
    const [unitAt, variantAt, exposedAt, propensityAt, kindAt] = ['_unit', '_variant', '_exposed_at', '_propensity', '_kind'].map(slot)
    const featurePlaces = plan.features.map((name) => plan.service.features.findIndex((feature) => feature.name === name))
    let open: OpenUnit | null = null
    const options: JoinOptions = { ...(signal && { signal }), ...(onUnits && { onProgress: ({ done, total }) => onUnits(done, total) }) }
    await joinSpine(db, plan.service, spine, options, async ({ length, spine: columns, values }) => {
      const cell = (place: number | undefined, row: number): Value | null => columns[place as number]?.[row] ?? null
      for (let row = 0; row < length; row++) {
        const kind = Number(cell(kindAt, row))
        if (kind === exposureKind) {
          if (open !== null) await onUnit(closeUnit(plan, open))
          open = {
            unit: cell(unitAt, row) as string,
            variant: cell(variantAt, row) as string,
            exposedAt: Number(cell(exposedAt, row)),
            propensity: Number(cell(propensityAt, row)),
            features: featurePlaces.map((place) => values[place]?.[row] ?? null),
            mature: plan.windows.map(() => false),
            exposures: plan.windows.map(() => 0),
            tallies: plan.metrics.map(({ denominator }) => [newTally(), denominator === null ? null : newTally()]),
          }
        } else if (open !== null) addRow(plan, open, kind, (place) => values[place]?.[row] ?? null)
      }
    })
    if (open !== null) await onUnit(closeUnit(plan, open))
  } finally {
    // a table that cannot be dropped now is dropped by the next run
    await spine.drop().catch(() => undefined)
  }
}

interface OpenUnit extends Omit<ExposedUnit, 'figures'> {
  /** By window. */
  readonly mature: boolean[]
  /** By window: logged predictions in it. */
  readonly exposures: number[]
  /** By metric. */
  readonly tallies: readonly (readonly [Tally, Tally | null])[]
}

/** The values of a unit's predictions, one after the other. */
interface Tally {
  n: number
  sum: number
  least: number
  greatest: number
  first: number
  last: number
}

function newTally(): Tally {
  return { n: 0, sum: 0, least: Number.POSITIVE_INFINITY, greatest: Number.NEGATIVE_INFINITY, first: 0, last: 0 }
}

function addRow(plan: UnitsPlan, open: OpenUnit, kind: number, valueOf: (place: number) => Value | null): void {
  /** -1: the row of the unit itself. */
  const time = Math.floor(kind / predictionKinds) - 1
  const window = (kind % predictionKinds) - 1
  if (time < 0) open.mature[window] = true
  else if (time === 0) open.exposures[window] = (open.exposures[window] as number) + 1
  for (const [i, metric] of plan.metrics.entries()) {
    if (metric.window !== window) continue
    const tallies = open.tallies[i] as (typeof open.tallies)[number]
    for (const [part, measure] of [metric.value, metric.denominator].entries()) {
      if (measure === null || (measure.afterPrediction === null ? -1 : measure.time) !== time) continue
      const value = measure.read(measure.places.map(valueOf))
      if (value !== null) addValue(tallies[part] as Tally, value)
    }
  }
}

function addValue(tally: Tally, value: number): void {
  if (tally.n === 0) tally.first = value
  tally.n++
  tally.sum += value
  tally.least = Math.min(tally.least, value)
  tally.greatest = Math.max(tally.greatest, value)
  tally.last = value
}

function closeUnit(plan: UnitsPlan, open: OpenUnit): ExposedUnit {
  const { tallies, exposures, mature, ...unit } = open
  const figures = plan.metrics.map((metric, i) => {
    const { window, value, denominator } = metric
    if (mature[window] !== true) return null
    const [above, below] = tallies[i] as (typeof tallies)[number]
    return figureOf(metric, valueOf(value, above), denominator === null || below === null ? null : valueOf(denominator, below), {
      exposures: exposures[window] as number,
      values: value.afterPrediction === null ? null : above.n,
      sum: above.sum,
    })
  })
  return { ...unit, figures, mature: plan.metrics.map(({ window }) => mature[window] === true) }
}

/** The value of a unit, over its predictions if its rows name one. */
function valueOf({ afterPrediction, aggregate }: PlannedMeasure, { n, sum, least, greatest, first, last }: Tally): number | null {
  if (afterPrediction === null) return n === 0 ? null : first
  if (n === 0) return null
  switch (aggregate) {
    case 'mean':
      return sum / n
    case 'min':
      return least
    case 'max':
      return greatest
    case 'first':
      return first
    case 'last':
      return last
    case 'count':
      return n
    default:
      return sum
  }
}

interface Exposures {
  readonly exposures: number
  /** Predictions with a value; null: the metric has one value for the unit. */
  readonly values: number | null
  readonly sum: number
}

function figureOf(
  { spec, denominator }: PlannedMetric,
  value: number | null,
  below: number | null,
  { exposures, values, sum }: Exposures,
): UnitFigure | null {
  const bounded = (x: number): number => (spec.winsorizeAt === null ? x : Math.min(x, spec.winsorizeAt))
  if (value === null || (denominator !== null && below === null)) return null
  const isShare = spec.kind === 'proportion'
  if (spec.per === 'unit') return { numerator: isShare ? Math.sign(value) : bounded(value), denominator: below ?? 1 }
  // the exposures of a metric whose rows name a prediction are those predictions; else each repeats the unit's value
  if (values !== null && denominator === null) return { numerator: bounded(sum), denominator: values }
  return { numerator: exposures * bounded(value), denominator: exposures * (below ?? 1) }
}
