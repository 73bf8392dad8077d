import { asymptoticLowerBound, asymptoticSequence } from '../../../statistics/confidence-sequence.ts'
import { criticalValue } from '../../../statistics/interval.ts'
import type { GateOf } from '../../../registry/rollouts/plan-schema.ts'
import type { QualityReport } from '../../quality/quality-report.ts'
import { qualityReport } from '../../quality/quality-report.ts'
import type { Gate, GateAnswer, GateContext } from './gate.ts'
import { compareAnswer, isDue, short } from './gate.ts'

type Judged = GateOf<'quality' | 'calibration' | 'business'>

interface SideFigure {
  readonly value: number | null
  readonly standardError: number | null
  readonly n: number
  /** Why there is no value. */
  readonly reason: string | null
}

interface QualityEvidence {
  readonly at: number
  readonly outcome: string
  readonly figure: string
  readonly better: 'higher' | 'lower'
  readonly margin: number
  readonly candidate: SideFigure
  readonly champion: SideFigure
}

const higher = new Set(['auc', 'accuracy', 'precision', 'recall', 'f1'])
const maxRows = 200_000

/**
 * Figures of mature predictions since the rollout began: of the candidate and of the champion in the same time. A figure
 * counts once its outcomes can no longer come. The difference is tested one-sided by the asymptotic confidence sequence,
 * valid at every look; `samples` says from which number of rows on.
 */
function gateOf<K extends Judged['kind']>(kind: K): Gate<K, QualityEvidence> {
  return {
    kind,
    async gather(context, spec, before) {
      if (before !== null && !isDue(before.at, context)) return before
      return await gather(context, spec)
    },
    judge: (spec, evidence) => judge(spec, evidence),
  }
}

export const quality = gateOf('quality')
export const calibration = gateOf('calibration')
export const business = gateOf('business')

async function gather({ db, catalog, rollout, champion, now, signal }: GateContext, spec: Judged): Promise<QualityEvidence> {
  const report = await qualityReport(db, catalog, {
    model: rollout.model,
    outcome: spec.outcome,
    versions: [rollout.version, champion],
    from: rollout.startedAt.getTime() * 1000,
    to: now,
    asOf: now,
    by: ['role', 'version'],
    limits: { total: maxRows, group: maxRows, estimate: 1000, curve: 0 },
    signal,
  })
  const figure = figureOf(spec, report)
  const side = (role: string, version: number): SideFigure => {
    const group = report.groups.find(({ by }) => by['role'] === role && by['version'] === String(version))
    const found = spec.kind === 'business' ? group?.business[figure] : group?.figures[figure]
    if (found === undefined)
      return { value: null, standardError: null, n: 0, reason: `no prediction of version ${version} has a mature outcome` }
    const { value, low, high, n, reason } = found
    const standardError = low === null || high === null ? null : (high - low) / (2 * criticalValue(0.05))
    return { value, standardError, n, reason }
  }
  const better = spec.kind === 'business' ? spec.better : higher.has(figure) ? 'higher' : 'lower'
  const [own, theirs] = [side('canary', rollout.version), side('champion', champion)]
  const margin = spec.margin ?? (figure === 'mae' ? Math.abs(theirs.value ?? 0) * 0.05 : figure === 'brier' ? 0.01 : 0.02)
  return { at: now, outcome: report.outcome, figure, better, margin, candidate: own, champion: theirs }
}

/** The figure that says most of its kind of outcome, unless one is named. */
function figureOf(spec: Judged, { kind }: QualityReport): string {
  if (spec.kind === 'calibration') return 'calibrationError'
  if (spec.figure !== undefined) return spec.figure
  return kind === 'binary' ? 'brier' : kind === 'number' ? 'mae' : 'accuracy'
}

function judge(spec: Judged, { outcome, figure, better, margin, candidate, champion }: QualityEvidence): GateAnswer {
  const missing = candidate.value === null ? candidate : champion.value === null ? champion : null
  if (missing !== null)
    return { verdict: 'not enough evidence', text: `There is no ${figure} by "${outcome}" yet: ${missing.reason ?? 'it is not known'}.` }
  const [own, theirs] = [candidate.value ?? 0, champion.value ?? 0]
  const worse = better === 'higher' ? theirs - own : own - theirs
  const error = Math.hypot(candidate.standardError ?? 0, champion.standardError ?? 0)
  const n = Math.min(candidate.n, champion.n)
  const { alpha, samples } = spec
  const hasSamples = n >= samples
  const tightestAt = 4 * samples
  const p = hasSamples ? asymptoticLowerBound(worse, error, n, { alpha, tightestAt, nullValue: margin }).p : 1
  const isProven = spec.prove && hasSamples && asymptoticSequence(worse, error, n, { alpha: 2 * alpha, tightestAt }).high <= margin
  const text = `The ${figure} by "${outcome}" is ${short(own)} with the candidate (${candidate.n} rows) and ${short(theirs)} with the champion (${champion.n} rows); ${better} is better, and ${short(margin)} worse is allowed.`
  return compareAnswer(spec, { p, seemsWorse: worse > margin, isProven, hasSamples }, text)
}
