import { parseDuration } from '../../../kernel/values/duration.ts'
import { formatShare } from '../../../kernel/values/format-number.ts'
import type { BinnedSample } from '../../../statistics/quantile-sequence.ts'
import { binnedQuantile, quantileDifference, quantileRise } from '../../../statistics/quantile-sequence.ts'
import type { GateOf } from '../../../registry/rollouts/plan-schema.ts'
import type { ComparedCounts } from '../compared-counts.ts'
import type { UnitChance } from '../unit-chance.ts'
import { unitChance } from '../unit-chance.ts'
import type { Gate } from './gate.ts'
import { compareAnswer, short } from './gate.ts'

type Bins = { readonly [K in keyof BinnedSample]: readonly number[] }

type LatencyEvidence = {
  /** Times of requests, milliseconds. */
  readonly candidate: Bins
  readonly champion: Bins
  readonly championOf: string
  /** null: chance does not decide which units the candidate gets, because it gets all. Absent: not known. */
  readonly byUnit?: UnitChance | null
}

/**
 * Whether requests take longer with the candidate: a quantile against a multiple of the champion's. Two tests must show
 * it. One takes requests for independent, and is valid at every look (`statistics/quantile-sequence.ts`). The other
 * takes units for independent (`unit-chance.ts`). The buckets of the histograms cost power, not validity.
 */
export const latency: Gate<'latency', LatencyEvidence> = {
  kind: 'latency',
  async gather({ counts, rollout: { share } }, spec) {
    return latencyEvidence(spec, counts, share)
  },
  judge(spec, { candidate, champion, championOf, byUnit }) {
    const { alpha, quantile, samples } = spec
    const [n, m] = [total(candidate), total(champion)]
    if (n === 0 || m === 0)
      return { verdict: 'not enough evidence', text: `${n} requests of the candidate and ${m} of the champion are timed.` }
    const [own, theirs] = [binnedQuantile(candidate, quantile), binnedQuantile(champion, quantile)]
    const allowed = allowedFactor(spec, theirs)
    const rise = quantileRise(champion, candidate, quantile, allowed, { alpha, tightestAt: 4 * samples })
    const p = Math.max(rise.p, byUnit?.slower ?? 0)
    const isProven =
      spec.prove &&
      (byUnit?.kept ?? 0) <= alpha &&
      quantileDifference(champion, candidate, quantile, { alpha: 2 * alpha }).high <= theirs * (allowed - 1)
    const text = `${formatShare(quantile, 6)} of the requests took up to ${short(own)} ms with the candidate (${n}) and ${short(theirs)} ms with the champion (${m}, ${championOf}); ${short(theirs * allowed)} ms are allowed.${p > alpha && rise.p <= alpha ? ' It may be slow because of the units that it got.' : ''}`
    return compareAnswer(spec, { p, seemsWorse: own > allowed * theirs, isProven, hasSamples: n >= samples && m >= samples }, text)
  },
  difference(spec, { candidate, champion, byUnit }) {
    if (total(candidate) === 0 || total(champion) === 0) return null
    const { alpha, quantile } = spec
    const theirs = binnedQuantile(champion, quantile)
    const { value, low, high } = quantileDifference(champion, candidate, quantile, { alpha: 2 * alpha })
    const allowed = theirs * (allowedFactor(spec, theirs) - 1)
    // the interval takes requests for independent; what is allowed may be as far away only if units show it too
    return {
      unit: 'ms',
      value,
      low: (byUnit?.slower ?? 0) <= alpha ? low : Math.min(low, allowed),
      high: (byUnit?.kept ?? 0) <= alpha ? high : Math.max(high, allowed),
      allowed,
    }
  },
}

export function latencyEvidence(
  spec: GateOf<'latency'>,
  { candidate, champion, championOf }: Omit<ComparedCounts, 'championIn'>,
  share: number,
): LatencyEvidence {
  const { alpha, quantile } = spec
  const times = {
    candidate: candidate.latency,
    champion: champion.latency,
    share,
    alpha,
    allowed: (ms: number) => ms * allowedFactor(spec, ms),
  }
  return {
    candidate: times.candidate.total().bins(),
    champion: times.champion.total().bins(),
    championOf,
    byUnit: share < 1 ? unitChance(times, [0.5, quantile]) : null,
  }
}

/** A difference below `atLeast` is no breach, whatever its factor. */
function allowedFactor({ factor, atLeast }: GateOf<'latency'>, theirs: number): number {
  return Math.max(factor, (theirs + parseDuration(atLeast) / 1000) / theirs)
}

function total({ counts }: Bins): number {
  return counts.reduce((sum, count) => sum + count, 0)
}
