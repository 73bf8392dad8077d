import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { MeasureSpec, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import { aggregateResultType } from '../../kernel/result-type.ts'
import type { ServiceMember } from '../../kernel/specs/service-spec.ts'
import type { Column, KeyType, Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { AggregateName, DefinitionId, FeatureSpec, SourceSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'

/** The spine's column that holds the id of a prediction. */
export const predictionColumn = '_prediction_id'

/** How the figure of a unit is read from the row of the join that asks at the end of its window. */
export interface CompiledMeasure {
  /**
   * null: it is asked once for each unit. A number: once for each logged prediction of the unit in its window, because
   * rows of the source name a prediction, so many microseconds after the prediction.
   */
  readonly afterPrediction: number | null
  /** The features that it needs, in the order that `read` takes them. */
  readonly features: readonly string[]
  /** null: the unit, or the prediction, has no value. */
  readonly read: (values: readonly (Value | null)[]) => number | null
}

/**
 * Views over the sources of metrics. Their windows reach back exactly to the exposure; those of predictions have none.
 */
export interface MetricViews {
  readonly views: ReadonlyMap<DefinitionId, ViewPlan>
  readonly members: readonly ServiceMember[]
  /** By metric: its value or numerator, and for a ratio its denominator. */
  readonly measures: readonly (readonly [CompiledMeasure, CompiledMeasure | null])[]
}

/** The value of an outcome, under a name that no column of its source has. */
const outcomeColumn: Column = { name: '_outcome_value', type: { kind: 'float64' } }

/** Only whole microseconds: the window's start is then the exposure itself, and no earlier row counts. */
const exactHop = 1

/**
 * Compiles the metrics of an experiment to feature views, one for each source and window. The point-in-time join that
 * makes training sets then answers them: there is no other computation of a metric.
 */
export function metricViews(metrics: readonly MetricSpec[], outcome: (name: string) => OutcomePlan): MetricViews {
  const drafts = new Map<string, ViewDraft>()
  const measures = metrics.map((metric): readonly [CompiledMeasure, CompiledMeasure | null] => {
    const compiled = (measure: MeasureSpec): CompiledMeasure =>
      measure.of.kind === 'outcome'
        ? outcomeMeasure(drafts, measure, metric, outcome(measure.of.outcome))
        : sourceMeasure(drafts, measure, metric, measure.of)
    return metric.kind === 'ratio' ? [compiled(metric.numerator), compiled(metric.denominator)] : [compiled(metric.value), null]
  })
  const plans = [...drafts.values()].map(({ plan }) => plan())
  return {
    views: new Map(plans.map((plan) => [plan.id, plan])),
    members: [...drafts.values()].map(({ spec, key }) => ({
      kind: 'view',
      use: { view: definitionId(spec), alias: null, key },
      features: spec.features.map(({ name }) => name),
    })),
    measures,
  }
}

interface ViewDraft {
  readonly spec: ViewSpec & { readonly features: FeatureSpec[] }
  /** Columns of the spine. */
  readonly key: readonly string[]
  readonly plan: () => ViewPlan
}

/** The draft of the view over a source with a window; `identity` distinguishes views that share both. */
function draftOf(
  drafts: Map<string, ViewDraft>,
  identity: string,
  source: SourceSpec,
  key: readonly Column<KeyType>[],
  spineKey: readonly string[],
  ofOutcome: OutcomePlan | null,
): ViewDraft {
  const known = drafts.get(identity)
  if (known !== undefined) return known
  const features: FeatureSpec[] = []
  const spec: ViewDraft['spec'] = {
    name: `_metric_${drafts.size}`,
    version: 1,
    entity: { name: `_unit_${drafts.size}`, key },
    source,
    availability: { kind: 'continuous' },
    derive: ofOutcome === null ? [] : [outcomeColumn],
    code: ofOutcome === null ? null : ofOutcome.fingerprint,
    features,
  }
  const plan = (): ViewPlan =>
    ofOutcome === null
      ? compileView({ spec, code: null, fingerprint: identity })
      : compileView({ spec, code: '', fingerprint: identity, load: () => outcomeValue(ofOutcome) })
  const draft = { spec, key: spineKey, plan }
  drafts.set(identity, draft)
  return draft
}

function outcomeValue({
  columns,
  valueOf,
}: OutcomePlan): (row: Readonly<Record<string, Value | null>>) => Readonly<Record<string, number | null>> {
  return (row) => {
    const value = valueOf(columns.map(({ name }) => row[name] ?? null))
    return { [outcomeColumn.name]: value === null ? null : Number(value) }
  }
}

/**
 * Adds a feature to a view, unless it has it. @param windowMicros null: all rows count. @returns its name in the
 * service
 */
function featureOf(
  { spec }: ViewDraft,
  aggregate: AggregateName,
  column: Column | null,
  windowMicros: number | null,
  where: string | null = null,
): string {
  const name = [spec.name, aggregate, column?.name ?? 'rows', ...(where === null ? [] : ['where', where])].join('.')
  if (spec.features.some((feature) => feature.name === name)) return name
  const type = aggregateResultType(aggregate, column?.type ?? null) ?? { kind: 'float64' }
  const base = { name, type, default: null, required: false, ...(where === null ? {} : { where }), aggregate, column: column?.name ?? null }
  spec.features.push(windowMicros === null ? { kind: 'lifetime', ...base } : { kind: 'window', ...base, windowMicros, hopMicros: exactHop })
  return name
}

const ofUnit = { afterPrediction: null } as const

function sourceMeasure(
  drafts: Map<string, ViewDraft>,
  measure: MeasureSpec,
  { kind, withinMicros }: MetricSpec,
  { source, key }: Extract<MeasureSpec['of'], { readonly kind: 'source' }>,
): CompiledMeasure {
  const column = measure.column === null ? null : (source.columns.find(({ name }) => name === measure.column) ?? null)
  // each column has its own view: a source is declared with the columns that its measure uses
  const identity = `${source.name} ${withinMicros} ${measure.column ?? ''}`
  const draft = draftOf(
    drafts,
    identity,
    source,
    key,
    key.map(({ name }) => name),
    null,
  )
  const feature = (aggregate: AggregateName): string => featureOf(draft, aggregate, column, withinMicros)
  if (kind !== 'proportion') return { ...ofUnit, features: [feature(measure.aggregate)], read: ([value]) => sumOf(measure, value) }
  if (column === null) return { ...ofUnit, features: [feature('count')], read: ([count]) => Math.sign(numberOf(count) ?? 0) }
  if (column.type.kind === 'bool')
    return {
      ...ofUnit,
      features: [featureOf(draft, 'count', null, withinMicros, column.name)],
      read: ([count]) => Math.sign(numberOf(count) ?? 0),
    }
  return {
    ...ofUnit,
    features: [feature('min'), feature('max')],
    read: ([least, greatest]) => ((numberOf(least) ?? 0) !== 0 || (numberOf(greatest) ?? 0) !== 0 ? 1 : 0),
  }
}

function outcomeMeasure(
  drafts: Map<string, ViewDraft>,
  measure: MeasureSpec,
  { kind, withinMicros }: MetricSpec,
  plan: OutcomePlan,
): CompiledMeasure {
  const { match, source, name } = plan.spec
  const isOfPrediction = match.kind === 'prediction'
  // a prediction is asked at the end of its own time, and all of its rows until then count
  const windowMicros = isOfPrediction ? null : withinMicros
  const identity = `outcome ${name} ${windowMicros}`
  const draft =
    match.kind === 'prediction'
      ? draftOf(
          drafts,
          identity,
          { ...source, key: [{ part: predictionColumn, column: match.column }] },
          [{ name: predictionColumn, type: { kind: 'string' } }],
          [predictionColumn],
          plan,
        )
      : draftOf(
          drafts,
          identity,
          source,
          match.key,
          match.key.map((part) => part.name),
          plan,
        )
  // of a prediction the greatest row counts: a later row corrects it
  const rows = featureOf(draft, 'count', null, windowMicros)
  const value = featureOf(draft, match.kind === 'entity' ? match.take : 'last', outcomeColumn, windowMicros)
  const missing = plan.missing === null ? null : Number(plan.missing)
  const read = (count: Value | null | undefined, found: Value | null | undefined): number | null =>
    (numberOf(count) ?? 0) === 0 ? missing : numberOf(found)
  return {
    afterPrediction: isOfPrediction ? plan.spec.withinMicros : null,
    features: [rows, value],
    read: ([count, found]) => {
      const number = read(count, found)
      if (number === null) return null
      return kind === 'proportion' ? Number(number !== 0) : measure.aggregate === 'count' ? 1 : number
    },
  }
}

function numberOf(value: Value | null | undefined): number | null {
  if (typeof value === 'bigint') return Number(value)
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

/** A unit without rows has the sum 0 and the count 0, and no mean. A sum that is not finite is no value. */
function sumOf({ aggregate }: MeasureSpec, value: Value | null | undefined): number | null {
  const isZero = (value ?? null) === null && (aggregate === 'sum' || aggregate === 'count')
  return isZero ? 0 : numberOf(value)
}
