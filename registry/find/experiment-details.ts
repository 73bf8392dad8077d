import { durationText } from '../../kernel/values/duration.ts'
import type { ExperimentSpec, ExposureFeatures, MeasureSpec, MetricRole, MetricSpec } from '../../kernel/specs/experiment-spec.ts'

/** An experiment for people and programs; plain JSON. */
export interface ExperimentDetails {
  readonly model: string
  readonly unit: string
  readonly variants: readonly { readonly name: string; readonly serves: string; readonly weight: number }[]
  /** The share of the units that are in it. */
  readonly coverage: number
  readonly layer: { readonly name: string; readonly from: number; readonly to: number } | null
  readonly metrics: readonly { readonly name: string; readonly role: MetricRole; readonly computed: string }[]
  /** `airport_delays@1.meanDelay6h` */
  readonly covariates: readonly string[]
  readonly slices: readonly string[]
  readonly analysis: ExperimentSpec['analysis']
}

export function experimentDetails(spec: ExperimentSpec, coverage: number): ExperimentDetails {
  const { model, unit, layer, analysis } = spec
  return {
    model,
    unit,
    variants: spec.variants.map(({ name, serves, weight }) => ({ name, serves: String(serves), weight })),
    coverage,
    layer,
    metrics: spec.metrics.map((metric) => ({ name: metric.name, role: metric.role, computed: metricText(metric) })),
    covariates: spec.covariates.flatMap(featureNames),
    slices: spec.slices.flatMap(featureNames),
    analysis,
  }
}

function featureNames({ use, features }: ExposureFeatures): string[] {
  return features.map((feature) => `${use.view}.${feature}`)
}

/** `mean of sum of amount of orders within 7 d, at most 500, higher is better` */
function metricText(metric: MetricSpec): string {
  const { withinMicros, winsorizeAt, better, margin, per } = metric
  const facts = [
    `${whatText(metric)} within ${durationText(withinMicros)}`,
    winsorizeAt === null ? '' : `at most ${winsorizeAt}`,
    per === 'exposure' ? 'by exposure' : '',
    `${better} is better`,
    margin === null ? '' : `margin ${margin}`,
  ]
  return facts.filter((fact) => fact !== '').join(', ')
}

function whatText(metric: MetricSpec): string {
  switch (metric.kind) {
    case 'mean':
      return `mean of the ${measureText(metric.value)}`
    case 'proportion':
      return `share of units with ${metric.value.column === null ? '' : `${metric.value.column} of `}${readName(metric.value)}`
    case 'ratio':
      return `${measureText(metric.numerator)} by ${measureText(metric.denominator)}`
    case 'quantile':
      return `quantile ${metric.quantile} of the ${measureText(metric.value)}`
    default:
      return metric satisfies never
  }
}

function measureText(measure: MeasureSpec): string {
  return `${measure.aggregate} of ${measure.column === null ? '' : `${measure.column} of `}${readName(measure)}`
}

function readName({ of }: MeasureSpec): string {
  return of.kind === 'source' ? of.source.name : of.outcome
}
