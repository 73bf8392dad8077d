import type { AnalysisSpec, MetricRole } from '../../kernel/specs/experiment-spec.ts'

/** The result of an analysis, as plain JSON. Times are RFC 3339. */
export interface ExperimentResult {
  readonly experiment: string
  readonly model: string
  readonly asOf: string
  readonly analysis: AnalysisSpec
  readonly variants: readonly VariantResult[]
  /** The primary metric first. */
  readonly metrics: readonly MetricResult[]
  readonly slices: readonly SliceResult[]
  /** The primary metric by days since the exposure. */
  readonly periods: readonly PeriodResult[]
  readonly health: readonly HealthCheck[]
  readonly progress: Progress
}

export interface VariantResult {
  readonly variant: string
  readonly weight: number
  /** Units that saw it first. */
  readonly units: number
  /** Rows that it answered. */
  readonly rows: number
}

export interface MetricResult {
  readonly metric: string
  readonly role: MetricRole
  readonly kind: string
  readonly better: 'higher' | 'lower'
  /** By variant. */
  readonly arms: readonly ArmResult[]
  /** By variant other than the control. */
  readonly comparisons: readonly VariantComparison[]
  /** The share of the variance that the covariates explain; null: there are none, or they do not apply. */
  readonly explained: number | null
}

export interface ArmResult {
  readonly variant: string
  /** Units whose window has passed and that have a value. */
  readonly units: number
  /** Units whose window has not passed. They count once it has. */
  readonly immature: number
  /** The mean, ratio or quantile, as it is; null: no units. */
  readonly value: number | null
}

/** A treatment compared with the control. */
export interface VariantComparison {
  readonly variant: string
  readonly control: string
  readonly state: 'estimated' | 'not enough units'
  /** For `not enough units: 80 of 100`: the present and the needed number of units. */
  readonly waitsFor: { readonly units: number; readonly needed: number; readonly why: string } | null
  /** Treatment minus control; null: not enough units. */
  readonly difference: Interval | null
  /** As a share of the control; null: not enough units, or the control's value is 0 or a quantile. */
  readonly lift: Interval | null
  /** The least alpha at which the difference's interval excludes 0; null of a Bayesian analysis. */
  readonly p: number | null
  /** The evidence of this look alone against no difference, an e-value; null if the analysis is not sequential. */
  readonly e?: number | null | undefined
  /**
   * The difference of this look with the interval of a fixed number of units, not adjusted for repeated looks: what
   * looking too early would show. Only of sequential analyses; null: not enough units, or a quantile. Older results
   * have none.
   */
  readonly unadjusted?: Interval | null | undefined
  /** The p after correction over the metrics and treatments; null where there is no p or no correction applies. */
  readonly adjustedP: number | null
  /** Whether the difference is real: by the corrected p, or because the credible interval excludes 0. */
  readonly significant: boolean
  /** Only of a guardrail. */
  readonly guardrail: GuardrailResult | null
  /** Only of a Bayesian analysis. */
  readonly bayesian: BayesianResult | null
  /** The difference that this many units would find in 80 of 100 cases; null: not known. */
  readonly detectable: number | null
  /** Earlier intervals and this one exclude each other: the effect changed, or an assumption does not hold. */
  readonly contradicts: boolean
}

export interface Interval {
  readonly value: number
  readonly low: number
  readonly high: number
}

export interface GuardrailResult {
  /** How much worse than the control it may be, as a share. */
  readonly margin: number
  /** `passes`: it is not worse by the margin. `fails`: it is. `undecided`: the units do not say yet. */
  readonly verdict: 'passes' | 'fails' | 'undecided'
  /** The p-value of the hypothesis that it is worse by the margin or more. */
  readonly p: number
}

export interface BayesianResult {
  /** The probability that the treatment is better. */
  readonly chance: number
  /** The expected loss if the treatment is taken and is worse, as a share of the control. */
  readonly risk: number
}

export interface SliceResult {
  readonly feature: string
  readonly groups: readonly SliceGroup[]
  /**
   * By variant other than the control: of the hypothesis that its effect is the same in all groups; null: not known.
   */
  readonly heterogeneity: readonly { readonly variant: string; readonly p: number | null }[]
}

export interface SliceGroup {
  readonly value: string | null
  readonly others: boolean
  readonly comparisons: readonly VariantComparison[]
}

export interface PeriodResult {
  readonly fromDay: number
  readonly toDay: number
  readonly comparisons: readonly VariantComparison[]
}

export interface HealthCheck {
  readonly check: 'sample ratio' | 'crossovers' | 'lost exposures' | 'covariate balance' | 'stable effect' | 'maturity'
  readonly state: 'ok' | 'warning' | 'failing' | 'unknown'
  /** What was measured: a p-value, a share or a count; null: unknown. */
  readonly value: number | null
  /** What it says, and what to do if it is not ok. */
  readonly text: string
}

export interface Progress {
  /** Units with a value of the primary metric. */
  readonly units: number
  /** What the plan expects; null: not stated. */
  readonly planned: number | null
  /** The share of units whose window of the primary metric has not passed. */
  readonly immatureShare: number
  /**
   * When the first and the last of those units will count, of the units that are exposed so far; null: all count. Older
   * results have none.
   */
  readonly maturesAt?: { readonly first: string; readonly last: string } | null | undefined
  /** New units by day, recently; null: there are exposures of fewer than 7 days, or the run has ended. */
  readonly unitsByDay: number | null
  /** Until the planned units are there and mature, at the present rate; null: not known, or the run has ended. */
  readonly daysLeft: number | null
}
