import { formatNumber, formatShare } from '../../../kernel/values/format-number.ts'
import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../../../online/store.ts'
import type { Catalog, CatalogModel } from '../../../registry/catalog.ts'
import type { GateKind, GateOf } from '../../../registry/rollouts/plan-schema.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import type { ReadSecret } from '../../alerts/deliver/send-notification.ts'
import type { ComparedCounts } from '../compared-counts.ts'

const verdicts = ['advance', 'hold', 'roll back', 'not enough evidence'] as const
export type GateVerdict = (typeof verdicts)[number]

/** Servers take a change of the routing within a second: what they answer until then may be of the step before. */
export const takenMicros = 1_000_000

/** Evidence against the candidate as a number, and the number at which the gate says that it is worse. */
export interface GateMeter {
  readonly unit: 'evidence' | 'share'
  readonly value: number
  readonly bound: number
}

/** The result of a gate, with a sentence for people. */
export interface GateAnswer {
  readonly verdict: GateVerdict
  readonly text: string
  /** Absent: the gate's evidence is no single number. */
  readonly meter?: GateMeter
}

/** How much worse the candidate is than the champion: negative where it is better. */
export interface GateDifference {
  readonly unit: 'share' | 'ms' | 'value'
  readonly value: number
  /** An interval that is valid at every look. */
  readonly low: number
  readonly high: number
  /** How much worse is allowed. */
  readonly allowed: number
}

/** The dependencies of a gate, from which it gathers its evidence. */
export interface GateContext {
  readonly db: Database
  /** null: it does not answer. */
  readonly store: OnlineStore | null
  readonly catalog: Catalog
  readonly model: CatalogModel
  readonly rollout: Rollout & { readonly plan: NonNullable<Rollout['plan']> }
  /** The version that answers the other requests. */
  readonly champion: number
  readonly counts: ComparedCounts
  /** When the evidence begins and ends, epoch microseconds. */
  readonly from: number
  readonly now: number
  readonly readSecret: ReadSecret
  readonly allowPrivate: boolean
  readonly signal: AbortSignal
}

/**
 * One kind of gate. Evidence is plain JSON, and `judge` is a pure function of it: the same evidence gives the same
 * answer, now and when a decision is replayed.
 */
export interface Gate<K extends GateKind = GateKind, Evidence = JsonValue> {
  readonly kind: K
  /** @param before the gate's own evidence of the last look in this step; null: there is none */
  gather(context: GateContext, spec: GateOf<K>, before: Evidence | null): Promise<Evidence>
  judge(spec: GateOf<K>, evidence: Evidence): GateAnswer
  /** Only of gates that compare the candidate with the champion. null: there is nothing to compare yet. */
  difference?(spec: GateOf<K>, evidence: Evidence): GateDifference | null
}

/**
 * The answer of a gate that compares the candidate with the champion:
 *
 * - the candidate is shown to be worse by more than the margin: a breach
 * - it seems so, and that is not shown: hold
 * - else: advance; with `prove` only once it is shown to keep the margin
 */
export function compareAnswer(
  {
    alpha,
    prove,
    samples,
    onBreach,
  }: { readonly alpha: number; readonly prove: boolean; readonly samples: number; readonly onBreach: 'roll back' | 'hold' },
  found: { readonly p: number; readonly seemsWorse: boolean; readonly isProven: boolean; readonly hasSamples: boolean },
  text: string,
): GateAnswer {
  const meter = Number.isNaN(found.p) ? {} : { meter: evidenceMeter(found.p, alpha) }
  const answer = (verdict: GateVerdict, more = ''): GateAnswer => ({ verdict, text: `${text}${more}`, ...meter })
  if (found.p <= alpha) return answer(onBreach, ` It is shown to be worse by more than the margin (p ${short(found.p)}).`)
  if (!found.hasSamples) return answer('not enough evidence', ` That is too few: each version needs ${samples}.`)
  if (found.seemsWorse)
    return answer('hold', ` It seems to be worse by more than the margin, which is not shown yet (p ${short(found.p)}).`)
  if (prove && !found.isProven) return answer('not enough evidence', ' It is not shown yet to keep the margin.')
  return answer('advance')
}

/** The meter of a p-value that is valid at every look: log10(1 / p), which decides at log10(1 / alpha). */
export function evidenceMeter(p: number, alpha: number): GateMeter {
  return { unit: 'evidence', value: -Math.log10(Math.min(1, Math.max(p, 1e-30))) + 0, bound: -Math.log10(alpha) }
}

/**
 * The level of look `k` (from 1) that keeps the chance of any false alarm below alpha: Σ alpha / (k (k + 1)) = alpha.
 */
export function alphaOfLook(alpha: number, look: number): number {
  return alpha / (look * (look + 1))
}

/** Whether a costly look is due: one at first, then after a fiftieth of the time that is looked at. */
export function isDue(last: number | null, { from, now }: Pick<GateContext, 'from' | 'now'>): boolean {
  return last === null || now - last >= (now - from) / 50
}

export function short(value: number | null): string {
  return value === null || Number.isNaN(value) ? 'unknown' : formatNumber(value)
}

export function percent(share: number): string {
  return Number.isNaN(share) ? 'unknown' : formatShare(share)
}
