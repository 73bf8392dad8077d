import type { AnalysisSpec, ExperimentSpec, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import { dayMicros, formatTimestamp } from '../../kernel/values/time.ts'
import type { AdjustedArm } from '../../statistics/covariate-adjustment.ts'
import { adjustForCovariates } from '../../statistics/covariate-adjustment.ts'
import { heterogeneity } from '../../statistics/heterogeneity.ts'
import { binnedQuantile } from '../../statistics/quantile-sequence.ts'
import { benjaminiHochberg, eBenjaminiHochberg, holm } from '../../statistics/multiple-tests.ts'
import type { Compared } from './compare-arms.ts'
import { compareMeans, compareQuantiles } from './compare-arms.ts'
import type { ExperimentEvidence, MetricEvidence } from './experiment-evidence.ts'
import type { VariantComparison, ExperimentResult, MetricResult, PeriodResult, SliceResult } from './experiment-result.ts'
import { healthChecks, progressOf } from './experiment-health.ts'
import { hasDenominator } from './plan-units.ts'
import type { NeededUnits } from './needed-units.ts'
import { neededUnits } from './needed-units.ts'
import { narrowed } from './narrowed.ts'
import { weightedArms } from './shared-periods.ts'
import type { UnitSums } from './unit-sums.ts'
import { linearized } from './unit-sums.ts'

/**
 * Analyses an experiment: the same evidence and the same earlier result give the same result.
 *
 * @param previous the result before; null: there is none. Sequences become narrower only, and a fixed analysis that has
 *   its units is not repeated
 */
export function analyzeExperiment(spec: ExperimentSpec, evidence: ExperimentEvidence, previous: ExperimentResult | null): ExperimentResult {
  const { analysis } = spec
  const [primary] = spec.metrics
  const last = primary !== undefined && finalResult(primary, previous) !== null ? previous : null
  const found = spec.metrics.map((metric, i) => finalResult(metric, previous) ?? metricResult(spec, metric, i, evidence))
  const metrics = corrected(spec, analysis.method === 'sequential' ? narrowed(found, previous, analysis.alpha) : found)
  // all variants of a fixed analysis wait together
  const waits = analysis.method === 'fixed' ? (found[0]?.comparisons[0]?.waitsFor ?? null) : null
  const base = {
    experiment: spec.name,
    model: spec.model,
    asOf: formatTimestamp(evidence.asOf),
    analysis,
    variants: spec.variants.map(({ name, weight }, i) => ({
      variant: name,
      weight,
      units: evidence.exposures.units[i] ?? 0,
      rows: evidence.exposures.rows[i] ?? 0,
    })),
    metrics,
    slices: last?.slices ?? sliceResults(spec, evidence, waits),
    periods: last?.periods ?? periodResults(spec, evidence, waits),
    progress: progressOf(spec, evidence),
  }
  return { ...base, health: healthChecks(spec, evidence, metrics, previous) }
}

/**
 * A fixed analysis looks once at each metric: those with a longer window have their units later. Slices and periods are
 * of the primary metric, so they are looked at with it.
 */
function finalResult({ name }: MetricSpec, previous: ExperimentResult | null): MetricResult | null {
  const before = previous?.analysis.method === 'fixed' ? previous.metrics.find(({ metric }) => metric === name) : undefined
  return before?.comparisons.every(({ state }) => state === 'estimated') === true ? before : null
}

function metricResult(spec: ExperimentSpec, metric: MetricSpec, index: number, evidence: ExperimentEvidence): MetricResult {
  const { sums, bins, immature, byPeriod } = evidence.metrics[index] as MetricEvidence
  const { allocation } = evidence
  const weighted = allocation === undefined || byPeriod === undefined ? null : weightedArms(allocation.periods, byPeriod)
  const adjusted = weighted === null ? adjustedArms(metric, sums) : { arms: weighted, explained: null }
  return {
    metric: metric.name,
    role: metric.role,
    kind: metric.kind,
    better: metric.better,
    arms: spec.variants.map(({ name }, i) => ({
      variant: name,
      units: sums[i]?.n ?? 0,
      immature: immature[i] ?? 0,
      value: weighted === null || sums[i]?.n === 0 ? metricValue(metric, sums[i] as UnitSums, bins?.[i]) : (weighted[i]?.mean ?? null),
    })),
    comparisons: comparisonsOf(spec, metric, { sums, bins, arms: adjusted.arms }, spec.analysis.alpha, planWaits(spec, sums)),
    explained: adjusted.explained,
  }
}

/** The units that the plan of a fixed analysis still lacks. */
function planWaits({ analysis }: ExperimentSpec, sums: readonly UnitSums[]): NeededUnits | null {
  const units = sums.reduce((sum, { n }) => sum + n, 0)
  const needed = analysis.method === 'fixed' ? (analysis.units ?? 0) : 0
  return units < needed ? { units, needed, why: 'of the plan' } : null
}

export function metricValue(
  metric: MetricSpec,
  { n, mean }: UnitSums,
  bins: NonNullable<MetricEvidence['bins']>[number] | null | undefined,
): number | null {
  if (n === 0) return null
  if (metric.kind === 'quantile') return bins === null || bins === undefined ? null : binnedQuantile(bins, metric.quantile)
  if (!hasDenominator(metric)) return mean[0] as number
  return mean[1] === 0 ? null : (mean[0] as number) / (mean[1] as number)
}

/**
 * The arms after the covariates took out what they explain, and the share of the variance that this was. An arm with
 * too few units stays as it is.
 */
export function adjustedArms(
  metric: MetricSpec,
  sums: readonly UnitSums[],
): { readonly arms: readonly AdjustedArm[]; readonly explained: number | null } {
  const raw = sums.map((arm) => linearized(arm, hasDenominator(metric)).sums)
  const hasCovariates = (sums[0]?.mean.length ?? 0) > 2
  const plain = raw.map(({ n, meanY, squaresY }) => ({ n, mean: meanY, variance: squaresY / (n - 1) }))
  const usable = raw.filter(({ n, meanY }) => n >= 2 && Number.isFinite(meanY))
  if (!hasCovariates || usable.length === 0 || metric.kind === 'quantile') return { arms: plain, explained: null }
  const { arms } = adjustForCovariates(usable)
  const total = (parts: readonly number[]): number => parts.reduce((sum, part) => sum + part, 0)
  const before = total(usable.map(({ squaresY }) => squaresY))
  const after = total(arms.map(({ variance, n }) => variance * (n - 1)))
  const adjusted = new Map(usable.map((arm, i) => [arm, arms[i] as AdjustedArm]))
  return {
    arms: raw.map((arm, i) => adjusted.get(arm) ?? (plain[i] as AdjustedArm)),
    explained: before === 0 ? null : Math.max(0, 1 - after / before),
  }
}

interface ComparedArms {
  readonly sums: readonly UnitSums[]
  readonly bins: MetricEvidence['bins']
  readonly arms: readonly AdjustedArm[]
}

function comparisonsOf(
  { variants, analysis }: ExperimentSpec,
  metric: MetricSpec,
  { sums, bins, arms }: ComparedArms,
  alpha: number,
  waits: NeededUnits | null,
): VariantComparison[] {
  const [control] = variants
  const needed = variants.slice(1).map((_, k) => waits ?? neededUnits(metric, sums[0] as UnitSums, sums[k + 1] as UnitSums))
  // a fixed analysis looks once, so at all variants together
  const together = analysis.method === 'fixed' ? (needed.find((each) => each !== null) ?? null) : null
  return variants.slice(1).map((variant, k): VariantComparison => {
    const i = k + 1
    const names = { variant: variant.name, control: control?.name ?? '' }
    const waitsFor = together ?? needed[k] ?? null
    if (waitsFor !== null) return { ...names, ...unknown, waitsFor }
    const share = variant.weight + (control?.weight ?? 0)
    const tightestAt = analysis.units === null ? undefined : Math.max(1, analysis.units * share)
    const options = { analysis, alpha, tightestAt }
    const compared =
      metric.kind === 'quantile'
        ? compareQuantiles(binsOf(bins, 0), binsOf(bins, i), metric.quantile, metric, options)
        : compareMeans(arms[0] as AdjustedArm, arms[i] as AdjustedArm, metric, options)
    return comparison(names, compared, alpha)
  })
}

function binsOf(bins: MetricEvidence['bins'], arm: number): NonNullable<MetricEvidence['bins']>[number] {
  return bins?.[arm] ?? { from: [], to: [], counts: [] }
}

const unknown = {
  state: 'not enough units',
  difference: null,
  lift: null,
  p: null,
  adjustedP: null,
  significant: false,
  guardrail: null,
  bayesian: null,
  detectable: null,
  contradicts: false,
} as const

function comparison(names: Pick<VariantComparison, 'variant' | 'control'>, compared: Compared, alpha: number): VariantComparison {
  const significant = compared.p === null ? compared.significant : compared.p <= alpha
  return { ...names, state: 'estimated', waitsFor: null, ...compared, adjustedP: null, significant, contradicts: false }
}

/**
 * Corrects the p-values over the metrics and treatments, guardrails excepted: each of those has to pass, so their
 * number makes no false alarm likelier. Holm's method holds at every look if each p does. Benjamini and Hochberg's is
 * for one look: a sequential analysis takes e-values in its place (e-BH), which hold at whatever look the experiment is
 * stopped. A p that is not known yet counts as 1, so a metric that has its units early is not judged more leniently.
 */
function corrected({ analysis }: ExperimentSpec, metrics: readonly MetricResult[]): MetricResult[] {
  const decided = metrics.flatMap(({ role, comparisons }, m) =>
    role === 'guardrail' ? [] : comparisons.flatMap(({ p, e }, c) => (p === null ? [] : [{ m, c, p, e: e ?? 0 }])),
  )
  const adjusted = adjust(
    decided,
    analysis,
    metrics.reduce((sum, { role, comparisons }) => sum + (role === 'guardrail' ? 0 : comparisons.length), 0),
  )
  return metrics.map((metric, m) => ({
    ...metric,
    comparisons: metric.comparisons.map((each, c) => {
      const at = decided.findIndex((other) => other.m === m && other.c === c)
      const adjustedP = adjusted?.[at] ?? null
      if (each.state !== 'estimated' || each.p === null) return each
      return { ...each, adjustedP, significant: (adjustedP ?? each.p) <= analysis.alpha }
    }),
  }))
}

interface Decided {
  readonly p: number
  readonly e: number
}

function adjust(decided: readonly Decided[], { method, correction }: AnalysisSpec, count: number): readonly number[] | null {
  if (correction === 'none' || method === 'bayesian') return null
  const all = [...decided, ...Array.from({ length: count - decided.length }, (): Decided => ({ p: 1, e: 0 }))]
  const pValues = all.map(({ p }) => p)
  if (correction === 'holm') return holm(pValues)
  return method === 'sequential' ? eBenjaminiHochberg(all.map(({ e }) => e)) : benjaminiHochberg(pValues)
}

/**
 * The primary metric in groups of units. The level is shared by all groups, so that many of them find nothing by
 * chance.
 *
 * @param waits what the primary metric waits for, and its groups with it
 */
function sliceResults(spec: ExperimentSpec, { slices }: ExperimentEvidence, waits: NeededUnits | null): SliceResult[] {
  const [metric] = spec.metrics
  if (metric === undefined || metric.kind === 'quantile') return []
  const features = [...new Set(slices.map(({ feature }) => feature))]
  const treatments = spec.variants.slice(1)
  const alpha = spec.analysis.alpha / Math.max(1, slices.length * treatments.length)
  return features.map((feature) => {
    const groups = slices
      .filter((slice) => slice.feature === feature)
      .map(({ value, others, arms: sums }) => {
        const { arms } = adjustedArms(metric, sums)
        return { value, others, comparisons: comparisonsOf(spec, metric, { sums, bins: null, arms }, alpha, waits), arms }
      })
      .sort((a, b) => unitsOf(b.arms) - unitsOf(a.arms))
    const same = treatments.map(({ name }, k) => {
      const known = groups.flatMap(({ comparisons, arms }) => {
        const [control, treatment] = [arms[0], arms[k + 1]]
        if (comparisons[k]?.state !== 'estimated' || control === undefined || treatment === undefined) return []
        const varianceOf = ({ variance, n }: AdjustedArm): number => variance / n
        const standardError = Math.sqrt(varianceOf(control) + varianceOf(treatment))
        return [{ value: treatment.mean - control.mean, standardError, n: control.n + treatment.n }]
      })
      const units = known.reduce((sum, { n }) => sum + n, 0)
      const { p, anytimeP } = heterogeneity(known, units, { alpha: spec.analysis.alpha })
      return { variant: name, p: known.length < 2 ? null : spec.analysis.method === 'sequential' ? anytimeP : p }
    })
    return { feature, heterogeneity: same, groups: groups.map(({ value, others, comparisons }) => ({ value, others, comparisons })) }
  })
}

function unitsOf(arms: readonly AdjustedArm[]): number {
  return arms.reduce((sum, { n }) => sum + n, 0)
}

/** The primary metric by time since the exposure. All periods share the level. @param waits as for slices */
function periodResults(spec: ExperimentSpec, { periods }: ExperimentEvidence, waits: NeededUnits | null): PeriodResult[] {
  const [metric] = spec.metrics
  if (metric === undefined) return []
  const alpha = spec.analysis.alpha / Math.max(1, periods.length * (spec.variants.length - 1))
  return periods.map(({ fromMicros, toMicros, arms }) => ({
    fromDay: fromMicros / dayMicros,
    toDay: toMicros / dayMicros,
    comparisons: comparisonsOf(
      spec,
      { ...metric, margin: null },
      { sums: arms, bins: null, arms: adjustedArms(metric, arms).arms },
      alpha,
      waits,
    ),
  }))
}
