import type { ServiceMember } from './service-spec.ts'
import type { Column, KeyType } from '../values/value-type.ts'
import type { SourceSpec } from './view-spec.ts'

/** An experiment as plain JSON: who gets which version of a model, and by what the versions are compared. */
export interface ExperimentSpec {
  readonly name: string
  readonly model: string
  /** The field of the entities that is assigned, or `request-id`: all rows of a request get the same variant. */
  readonly unit: string
  /** At least two. The first one is the control. */
  readonly variants: readonly VariantSpec[]
  /** null: the experiment assigns its units independently of all others. */
  readonly layer: LayerSpec | null
  /** The primary metric first. */
  readonly metrics: readonly MetricSpec[]
  /** Features as of the exposure that reduce the variance of metrics. */
  readonly covariates: readonly ExposureFeatures[]
  /** Features as of the exposure by which the units are also compared in groups. */
  readonly slices: readonly ExposureFeatures[]
  readonly analysis: AnalysisSpec
  /** Absent: the shares of the variants never change. */
  readonly allocation?: AllocationSpec
}

/** Shares that follow the primary metric by Thompson sampling. */
export interface AllocationSpec {
  readonly method: 'thompson'
  /** The least share of a variant. */
  readonly floor: number
  /** Shares change once each variant has so many units. */
  readonly minUnits: number
}

export interface VariantSpec {
  readonly name: string
  /** A version or an alias. A start pins an alias to its version. */
  readonly serves: number | string
  /** Its share of the units in the experiment. All add up to 1. */
  readonly weight: number
}

/**
 * The part of a layer that an experiment may use: units whose place in the layer is in `[from, to)`. Experiments with
 * disjoint parts of a layer never share a unit.
 */
export interface LayerSpec {
  readonly name: string
  readonly from: number
  readonly to: number
}

/** Features of one view. */
export type ExposureFeatures = ServiceMember & { readonly kind: 'view' }

export type MetricRole = 'primary' | 'guardrail' | 'secondary'

/** A figure of each unit, or a ratio of two, that the variants are compared by. */
export type MetricSpec = MetricBase &
  (
    | { readonly kind: 'mean'; readonly value: MeasureSpec }
    /** The share of units with a row whose value is not 0; of an outcome or a bool column: is true. */
    | { readonly kind: 'proportion'; readonly value: MeasureSpec }
    /** The sum of the numerators of all units over the sum of their denominators. */
    | { readonly kind: 'ratio'; readonly numerator: MeasureSpec; readonly denominator: MeasureSpec }
    | { readonly kind: 'quantile'; readonly value: MeasureSpec; readonly quantile: number }
  )

interface MetricBase {
  readonly name: string
  readonly role: MetricRole
  /** Rows count from the first exposure of a unit on, for this time. A unit counts once it has passed. */
  readonly withinMicros: number
  /** Greater values of a unit count as this one; null: all count as they are. */
  readonly winsorizeAt: number | null
  /** Whether each unit counts once, or once for each of its exposures. */
  readonly per: 'unit' | 'exposure'
  readonly better: 'higher' | 'lower'
  /** For a guardrail: how much worse than the control it may be, as a share of the control; null for others. */
  readonly margin: number | null
}

/** How the rows of a unit become one number. */
export interface MeasureSpec {
  readonly of:
    | {
        readonly kind: 'source'
        /** With the columns that the measure uses. */
        readonly source: SourceSpec
        /**
         * The fields of an exposure that hold the source's key: the unit, or any field of the entities for
         * `request-id`.
         */
        readonly key: readonly Column<KeyType>[]
      }
    | { readonly kind: 'outcome'; readonly outcome: string }
  readonly aggregate: MeasureAggregate
  /** null: rows are counted; of an outcome: its value. */
  readonly column: string | null
}

export const measureAggregates = ['count', 'sum', 'mean', 'min', 'max', 'first', 'last'] as const
export type MeasureAggregate = (typeof measureAggregates)[number]

/** The measures of a metric. */
export function measuresOf(metric: MetricSpec): readonly MeasureSpec[] {
  return metric.kind === 'ratio' ? [metric.numerator, metric.denominator] : [metric.value]
}

/** The fields of the entities that an exposure keeps: those that metrics, covariates and slices are asked by. */
export function exposureFields({ unit, metrics, covariates, slices }: ExperimentSpec): readonly string[] {
  const keys = metrics.flatMap(measuresOf).flatMap(({ of }) => (of.kind === 'source' ? of.key.map(({ name }) => name) : []))
  const views = [...covariates, ...slices].flatMap(({ use }) => use.key)
  return [...new Set([...(unit === 'request-id' ? [] : [unit]), ...keys, ...views])]
}

export interface AnalysisSpec {
  /** `sequential` may be looked at any time; `fixed` once, when the planned units are there. */
  readonly method: 'sequential' | 'fixed' | 'bayesian'
  readonly alpha: number
  /** Over the metrics, guardrails excepted. */
  readonly correction: 'holm' | 'bh' | 'none'
  /**
   * The units that the plan expects: a sequence is tightest there, a fixed analysis waits for them; null: not stated.
   */
  readonly units: number | null
  /** Of the relative effect, for `bayesian`; null for others. */
  readonly prior: { readonly mean: number; readonly deviation: number } | null
}
