import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import { compileService } from '../../kernel/compile-service.ts'
import type { ExperimentSpec, ExposureFeatures, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ServiceMember } from '../../kernel/specs/service-spec.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { AskedWindow } from './exposed-units.ts'
import { matureAfter } from './exposed-units.ts'
import type { CompiledMeasure } from './metric-views.ts'
import { metricViews } from './metric-views.ts'

/** The questions about each unit. */
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
  /** For an outcome by prediction: the index into `afterPrediction` of the window. */
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

function featureName(alias: string | null, feature: string): string {
  return alias === null ? feature : `${alias}__${feature}`
}

/** The names of features as of the exposure. */
export function featureNames(uses: readonly ExposureFeatures[]): string[] {
  return distinctFeatures(uses).map(({ name }) => name)
}
