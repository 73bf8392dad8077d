import { asymptoticLowerBound, asymptoticSequence } from '../../../statistics/confidence-sequence.ts'
import { criticalValue } from '../../../statistics/interval.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import { championAlias } from '../../../registry/models/model-aliases.ts'
import type { GateOf } from '../../../registry/rollouts/plan-schema.ts'
import type { Figure, Spread } from '../../quality/figure.ts'
import { minRows } from '../../quality/figure.ts'
import type { QualityReport } from '../../quality/quality-report.ts'
import { qualityReport } from '../../quality/quality-report.ts'
import { readShareChanges } from '../../../registry/rollouts/decisions.ts'
import { pooledSkewness, skewnessOfDifference } from '../../../statistics/required-units.ts'
import type { Stratum } from '../../../statistics/stratified-difference.ts'
import { independentError, stratifiedDifference } from '../../../statistics/stratified-difference.ts'
import type { EqualSharePeriod } from '../equal-share-periods.ts'
import { equalSharePeriods } from '../equal-share-periods.ts'
import type { Gate, GateAnswer, GateContext, GateDifference } from './gate.ts'
import { compareAnswer, evidenceMeter, isDue, short, takenMicros } from './gate.ts'

type Judged = GateOf<'quality' | 'calibration' | 'business'>

interface SideFigure {
  readonly value: number | null
  readonly standardError: number | null
  readonly n: number
  /** Why there is no value. */
  readonly reason: string | null
  /** Whether entities came back, so that their rows depend on each other. */
  readonly repeats?: boolean
  readonly spread?: Spread | undefined
}

/** A time in which the candidate had one share. */
interface StepFigures {
  readonly share: number
  readonly candidate: SideFigure
  readonly champion: SideFigure
}

interface QualityEvidence {
  readonly at: number
  readonly outcome: string
  readonly figure: string
  readonly better: 'higher' | 'lower'
  readonly margin: number
  /** Over all steps. */
  readonly candidate: SideFigure
  readonly champion: SideFigure
  readonly steps: readonly StepFigures[]
}

const higher = new Set(['auc', 'accuracy', 'precision', 'recall', 'f1'])
const maxRows = 200_000
/**
 * Both bounds are of simulations (`bench/rollout/few-entities.ts`): with them a gate of 1 % rolls back at most 1 % of
 * the candidates that are as good, whatever its entities are like.
 */
export const minEntities = 100
const maxSkewness = 0.15

/**
 * Figures of mature predictions since the rollout began, or since the champion became it if that was later: of the
 * candidate and of the champion in the same time. A figure counts once its outcomes can no longer come. Both are
 * compared step by step, as the share of the candidate grows: over all steps, more of the candidate's rows are recent
 * than of the champion's. The difference is tested one-sided by the asymptotic confidence sequence, valid at every
 * look; `samples` says from which number of rows on. Entities are what is independent: while they are too few, or a
 * few of them decide the figure, the gate rolls nothing back.
 */
function gateOf<K extends Judged['kind']>(kind: K): Gate<K, QualityEvidence> {
  return {
    kind,
    async gather(context, spec, before) {
      if (before !== null && !isDue(before.at, context)) return before
      return await gather(context, spec)
    },
    judge: (spec, evidence) => judge(spec, evidence),
    difference: (spec, evidence) => difference(spec, evidence),
  }
}

export const quality = gateOf('quality')
export const calibration = gateOf('calibration')
export const business = gateOf('business')

interface Reports {
  /** The times of one share each. */
  readonly periods: readonly EqualSharePeriod[]
  /** Split by these times, and over all of them. */
  readonly report: QualityReport
  readonly pooled: QualityReport
}

/** Of one look, by outcome: gates of the same outcome read it once. */
const reportsOf = memoizeWeak<GateContext, Map<string | undefined, Promise<Reports>>>(() => new Map())

function readReports(context: GateContext, outcome: string | undefined): Promise<Reports> {
  const known = reportsOf(context)
  let reports = known.get(outcome)
  if (reports === undefined) known.set(outcome, (reports = read(context, outcome)))
  return reports
}

async function read({ db, catalog, model, rollout, champion, now, signal }: GateContext, outcome: string | undefined): Promise<Reports> {
  const startedAt = rollout.startedAt.getTime() * 1000
  const changes = await readShareChanges(db.kysely, rollout.id)
  const championSince = (model.aliases.get(championAlias)?.setAt.getTime() ?? 0) * 1000
  const periods = equalSharePeriods(startedAt, championSince, now, rollout.share, changes, takenMicros)
  const reportOf = async (split: object): Promise<QualityReport> =>
    await qualityReport(db, catalog, {
      model: rollout.model,
      outcome,
      versions: [rollout.version, champion],
      from: periods[0]?.from ?? startedAt,
      to: now,
      asOf: now,
      by: ['role', 'version'],
      limits: { total: maxRows, group: Math.ceil(maxRows / Math.max(1, periods.length)), estimate: 1000, curve: 0 },
      signal,
      withSpread: true,
      ...split,
    })
  const report = await reportOf({ periods })
  // of one step, its figures are those over all steps
  return { periods, report, pooled: periods.length === 1 ? report : await reportOf({}) }
}

async function gather(context: GateContext, spec: Judged): Promise<QualityEvidence> {
  const { catalog, model, rollout, champion, now } = context
  const { periods, report, pooled } = await readReports(context, spec.outcome)
  const figure = figureOf(spec, report)
  const isKeyless = catalog.service(model.spec.service).keys.length === 0
  const side = ({ groups }: QualityReport, role: string, version: number, period?: number): SideFigure => {
    const isOf = (by: Readonly<Record<string, string>>): boolean =>
      by['role'] === role && by['version'] === String(version) && (period === undefined || by['period'] === String(period))
    const group = groups.find(({ by }) => isOf(by))
    const found = spec.kind === 'business' ? group?.business[figure] : group?.figures[figure]
    return found === undefined
      ? { value: null, standardError: null, n: 0, reason: `no prediction of version ${version} has a mature outcome` }
      : sideFigure(found, isKeyless)
  }
  const both = (of: QualityReport, period?: number) => ({
    candidate: side(of, 'canary', rollout.version, period),
    champion: side(of, 'champion', champion, period),
  })
  const better = spec.kind === 'business' ? spec.better : higher.has(figure) ? 'higher' : 'lower'
  const over = both(pooled, periods.length === 1 ? 0 : undefined)
  const margin = spec.margin ?? (figure === 'mae' ? Math.abs(over.champion.value ?? 0) * 0.05 : figure === 'brier' ? 0.01 : 0.02)
  const steps = periods.map(({ share }, i) => ({ share, ...both(report, i) }))
  return { at: now, outcome: report.outcome, figure, better, margin, ...over, steps }
}

/** @param isKeyless whether rows have no entity, so that each is independent */
export function sideFigure({ value, low, high, n, reason, interval, spread }: Figure, isKeyless = false): SideFigure {
  const standardError = low === null || high === null ? null : (high - low) / (2 * criticalValue(0.05))
  return {
    value,
    standardError,
    n,
    reason,
    repeats: interval === 'entities',
    spread: isKeyless ? { entities: n, residuals: null } : spread,
  }
}

/** The figure that says most of its kind of outcome, unless one is named. */
function figureOf(spec: Judged, { kind }: QualityReport): string {
  if (spec.kind === 'calibration') return 'calibrationError'
  if (spec.figure !== undefined) return spec.figure
  return kind === 'binary' ? 'brier' : kind === 'number' ? 'mae' : 'accuracy'
}

/** The compared figures. */
interface Compared extends Stratum {
  readonly difference: number
  readonly standardError: number
  /** How it was compared, for the text. */
  readonly how: string
}

function judge(spec: Judged, evidence: QualityEvidence): GateAnswer {
  const { outcome, figure, better, margin } = evidence
  const compared = comparedBySteps(evidence)
  if (typeof compared === 'string')
    return { verdict: 'not enough evidence', text: `There is no ${figure} by "${outcome}" yet: ${compared}.` }
  const { control, treatment, standardError: error, how } = compared
  const worse = better === 'higher' ? -compared.difference : compared.difference
  const n = Math.min(treatment.n, control.n)
  const { alpha, samples } = spec
  const hasSamples = n >= samples
  const tightestAt = 4 * samples
  const p = hasSamples ? asymptoticLowerBound(worse, error, n, { alpha, tightestAt, nullValue: margin }).p : 1
  const isProven = spec.prove && hasSamples && asymptoticSequence(worse, error, n, { alpha: 2 * alpha, tightestAt }).high <= margin
  const text = `The ${figure} by "${outcome}" is ${short(treatment.value)} with the candidate (${treatment.n} rows) and ${short(control.value)} with the champion (${control.n} rows${how}); ${better} is better, and ${short(margin)} worse is allowed.`
  const few = hasSamples ? fewEntities(evidence, compared) : null
  if (few === null) return compareAnswer(spec, { p, seemsWorse: worse > margin, isProven, hasSamples }, text)
  const meter = evidenceMeter(p, alpha)
  if (p > alpha) return { verdict: 'not enough evidence', text: `${text} That is too few entities: ${few}.`, meter }
  const seems = `It seems to be worse by more than the margin (p ${short(p)}), which so few entities do not show: ${few}.`
  return { verdict: 'hold', text: `${text} ${seems}`, meter }
}

/** @returns why the entities are too few to show that the candidate is worse, if they are */
function fewEntities({ better, candidate, champion, steps }: QualityEvidence, { control, treatment }: Compared): string | null {
  const sides = { candidate: candidate.spread?.entities ?? 0, champion: champion.spread?.entities ?? 0 }
  for (const [name, entities] of Object.entries(sides))
    if (entities < minEntities)
      return `those of the ${name} weigh as ${Math.floor(entities)} with equally many rows, and each version needs ${minEntities}`
  // rows stand for entities: both versions have entities of the same kind
  const compared = steps.filter((step) => known(step.candidate) !== null && known(step.champion) !== null)
  const moments = compared
    .flatMap((step) => [step.candidate, step.champion])
    .flatMap(({ n, spread }) => (spread?.residuals ? [{ n, ...spread.residuals }] : []))
  const skewness = skewnessOfDifference(pooledSkewness(moments), { control: control.n, treatment: treatment.n })
  const worse = better === 'higher' ? -skewness : skewness
  // NaN: it is not known, or all entities are alike
  if (!(worse < -maxSkewness)) return null
  const name = treatment.n < control.n ? 'candidate' : 'champion'
  return `a few of them decide the figure, and about ${Math.ceil(sides[name] * (worse / maxSkewness) ** 2)} of the ${name} are needed`
}

function difference({ alpha, samples }: Judged, evidence: QualityEvidence): GateDifference | null {
  const compared = comparedBySteps(evidence)
  if (typeof compared === 'string') return null
  const n = Math.min(compared.treatment.n, compared.control.n)
  // the interval is asymptotic
  if (n < samples || fewEntities(evidence, compared) !== null) return null
  const worse = evidence.better === 'higher' ? -compared.difference : compared.difference
  const { value, low, high } = asymptoticSequence(worse, compared.standardError, n, { alpha: 2 * alpha, tightestAt: 4 * samples })
  return { unit: 'value', value, low, high, allowed: evidence.margin }
}

/** @returns why nothing can be compared, if so */
function comparedBySteps(evidence: QualityEvidence): Compared | string {
  const { steps, candidate, champion } = evidence
  const strata = steps.flatMap((step): Stratum[] => {
    const [control, treatment] = [known(step.champion), known(step.candidate)]
    return control === null || treatment === null ? [] : [{ control, treatment }]
  })
  if (strata.length === 0) {
    const missing = candidate.value === null ? candidate : champion.value === null ? champion : null
    if (missing !== null) return missing.reason ?? 'it is not known'
    return `no step has ${minRows} mature rows of the candidate and of the champion`
  }
  const repeats = { control: repeatsOf('champion', evidence), treatment: repeatsOf('candidate', evidence) }
  const how = steps.length === 1 ? '' : `, compared within ${strata.length} of ${steps.length} steps`
  return { ...stratifiedDifference(strata, repeats), how }
}

function known({ value, standardError, n }: SideFigure): Stratum['control'] | null {
  return value === null || standardError === null ? null : { value, standardError, n }
}

/** How much larger the error over all steps is than if each step had entities of its own. */
function repeatsOf(side: 'candidate' | 'champion', evidence: QualityEvidence): number {
  const over = evidence[side]
  if (over.repeats !== true || over.standardError === null) return 1
  const apart = independentError(evidence.steps.flatMap((step) => known(step[side]) ?? []))
  return apart > 0 ? Math.max(1, over.standardError / apart) : 1
}
