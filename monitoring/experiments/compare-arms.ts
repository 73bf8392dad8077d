import type { AnalysisSpec, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import { bayesianEffect } from '../../statistics/bayesian-effect.ts'
import { asymptoticLowerBound, asymptoticSequence, criticalMultiple } from '../../statistics/confidence-sequence.ts'
import type { AdjustedArm } from '../../statistics/covariate-adjustment.ts'
import { normalCdf, normalQuantile, studentQuantile, studentSurvival } from '../../statistics/distributions.ts'
import { difference, relativeLift } from '../../statistics/lift.ts'
import { quantileDifference, quantileRise } from '../../statistics/quantile-sequence.ts'
import type { VariantComparison, GuardrailResult, Interval } from './experiment-result.ts'
import type { UnitBins } from './unit-bins.ts'

export type Compared = Pick<
  VariantComparison,
  'difference' | 'lift' | 'p' | 'e' | 'unadjusted' | 'guardrail' | 'bayesian' | 'detectable' | 'significant'
>

/** How a metric is judged. */
export type Judged = Pick<MetricSpec, 'better' | 'margin'>

export interface CompareOptions {
  readonly analysis: AnalysisSpec
  /** The level of this comparison. */
  readonly alpha: number
  /** The units of both arms at which a sequence is tightest. */
  readonly tightestAt: number | undefined
}

/** The power that a detectable difference is stated for. */
const wantedPower = 0.8

/** Compares the means of two arms. */
export function compareMeans(control: AdjustedArm, treatment: AdjustedArm, judged: Judged, options: CompareOptions): Compared {
  const [c, t] = [control, treatment].map(({ mean, variance, n }) => ({ mean, varianceOfMean: variance / n })) as [Mean, Mean]
  const n = control.n + treatment.n
  const { analysis, alpha, tightestAt } = options
  const plain = difference(c, t)
  const lift = c.mean === 0 ? null : relativeLift(c, t)
  const degrees = welchDegrees(control, treatment)
  const fixedCritical = studentQuantile(1 - alpha / 2, degrees)
  const critical =
    analysis.method === 'sequential'
      ? criticalMultiple(n, sequenceOptions(alpha, tightestAt))
      : analysis.method === 'fixed'
        ? fixedCritical
        : normalQuantile(1 - alpha / 2)
  const guardrail = judged.margin === null ? null : nonInferiority(c, t, n, degrees, judged, options)
  const detectable = (critical + normalQuantile(wantedPower)) * plain.standardError
  const base = { guardrail, detectable, bayesian: null, significant: false }
  const { method } = analysis
  switch (method) {
    case 'sequential': {
      const { low, high, p, e } = asymptoticSequence(plain.value, plain.standardError, n, sequenceOptions(alpha, tightestAt))
      const relative = lift === null ? null : asymptoticSequence(lift.value, lift.standardError, n, sequenceOptions(alpha, tightestAt))
      const unadjusted = around(plain, fixedCritical)
      return { ...base, difference: { value: plain.value, low, high }, lift: relative && intervalOf(relative), p, e: finite(e), unadjusted }
    }
    case 'fixed': {
      const z = Math.abs(plain.value) / plain.standardError
      const p = plain.standardError === 0 ? (plain.value === 0 ? 1 : 0) : Math.min(1, 2 * studentSurvival(z, degrees))
      return { ...base, difference: around(plain, critical), lift: lift && around(lift, critical), p }
    }
    case 'bayesian':
      return { ...base, ...bayesian(c, lift, judged, analysis, alpha), p: null }
    default:
      return method satisfies never
  }
}

interface Mean {
  readonly mean: number
  readonly varianceOfMean: number
}

interface Estimated {
  readonly value: number
  readonly standardError: number
}

function sequenceOptions(alpha: number, tightestAt: number | undefined) {
  return { alpha, ...(tightestAt === undefined ? {} : { tightestAt }) }
}

function intervalOf({ value, low, high }: Interval): Interval {
  return { value, low, high }
}

/** JSON has no Infinity. */
function finite(e: number): number {
  return Math.min(e, Number.MAX_VALUE)
}

function around({ value, standardError }: Estimated, critical: number): Interval {
  return { value, low: value - critical * standardError, high: value + critical * standardError }
}

/** Source: Welch, Biometrika 34 (1947). */
function welchDegrees(control: AdjustedArm, treatment: AdjustedArm): number {
  const a = control.variance / control.n
  const b = treatment.variance / treatment.n
  if (a + b === 0) return control.n + treatment.n - 2
  return (a + b) ** 2 / ((a * a) / (control.n - 1) + (b * b) / (treatment.n - 1))
}

/**
 * Whether a guardrail is worse by its margin. The null hypothesis is shifted by the margin: `treatment - (1 - margin)
 * control`, so that the control's own error counts too.
 */
function nonInferiority(c: Mean, t: Mean, n: number, degrees: number, judged: Judged, options: CompareOptions): GuardrailResult {
  const margin = judged.margin ?? 0
  const sign = judged.better === 'higher' ? 1 : -1
  const factor = 1 - sign * margin * Math.sign(c.mean)
  const value = sign * (t.mean - factor * c.mean)
  const standardError = Math.sqrt(t.varianceOfMean + factor * factor * c.varianceOfMean)
  const { analysis, alpha, tightestAt } = options
  const above = (distance: number): number => {
    if (analysis.method === 'sequential') return asymptoticLowerBound(distance, standardError, n, sequenceOptions(alpha, tightestAt)).p
    if (standardError === 0) return distance > 0 ? 0 : 1
    return analysis.method === 'fixed' ? studentSurvival(distance / standardError, degrees) : 1 - normalCdf(distance / standardError)
  }
  const p = above(value)
  return { margin, p, verdict: p <= alpha ? 'passes' : above(-value) <= alpha ? 'fails' : 'undecided' }
}

/** The lift under a normal prior; null for a control whose mean is 0. */
function bayesian(
  control: Mean,
  lift: Estimated | null,
  { better }: Judged,
  { prior }: AnalysisSpec,
  alpha: number,
): Pick<Compared, 'difference' | 'lift' | 'bayesian' | 'significant'> {
  if (lift === null) return { difference: null, lift: null, bayesian: null, significant: false }
  const effect = bayesianEffect(lift.value, lift.standardError, { alpha, prior, better })
  const { value, low, high } = effect
  const scale = Math.abs(control.mean)
  return {
    difference: { value: value * scale, low: low * scale, high: high * scale },
    lift: { value, low, high },
    bayesian: { chance: effect.chanceToWin, risk: effect.risk.treatment },
    significant: low > 0 || high < 0,
  }
}

/**
 * Compares a quantile of two arms, exactly at every number of units. The sequence serves all methods: it holds at a
 * fixed number of units, too.
 */
export function compareQuantiles(
  control: UnitBins,
  treatment: UnitBins,
  quantile: number,
  judged: Judged,
  options: CompareOptions,
): Compared {
  const { analysis, alpha, tightestAt } = options
  const { value, low, high, p, e } = quantileDifference(control, treatment, quantile, sequenceOptions(alpha, tightestAt))
  const guardrail = judged.margin === null ? null : quantileGuardrail(control, treatment, quantile, judged, options)
  return {
    difference: { value, low, high },
    lift: null,
    p,
    e: analysis.method === 'sequential' ? finite(e) : null,
    guardrail,
    bayesian: null,
    detectable: null,
    significant: false,
  }
}

function quantileGuardrail(
  control: UnitBins,
  treatment: UnitBins,
  quantile: number,
  { better, margin: stated }: Judged,
  { alpha, tightestAt }: CompareOptions,
): GuardrailResult {
  const margin = stated ?? 0
  const factor = better === 'higher' ? 1 - margin : 1 + margin
  const options = sequenceOptions(alpha, tightestAt)
  const rises = quantileRise(control, treatment, quantile, factor, options).p
  const falls = quantileRise(treatment, control, quantile, 1 / factor, options).p
  const [p, worse] = better === 'higher' ? [rises, falls] : [falls, rises]
  return { margin, p, verdict: p <= alpha ? 'passes' : worse <= alpha ? 'fails' : 'undecided' }
}
