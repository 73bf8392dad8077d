import { parseDuration } from '../../../kernel/values/duration.ts'
import { formatShare } from '../../../kernel/values/format-number.ts'
import type { BinnedSample } from '../../../statistics/quantile-sequence.ts'
import { binnedQuantile, quantileDifference, quantileRise } from '../../../statistics/quantile-sequence.ts'
import type { GateOf } from '../../../registry/rollouts/plan-schema.ts'
import type { Gate } from './gate.ts'
import { compareAnswer, short } from './gate.ts'

type Bins = { readonly [K in keyof BinnedSample]: readonly number[] }

interface LatencyEvidence {
  /** Times of requests, milliseconds. */
  readonly candidate: Bins
  readonly champion: Bins
  readonly championOf: string
}

/**
 * Whether requests take longer with the candidate: a quantile against a multiple of the champion's. One-sided and valid
 * at every look (`statistics/quantile-sequence.ts`); the buckets of the histograms cost power, not validity.
 */
export const latency: Gate<'latency', LatencyEvidence> = {
  kind: 'latency',
  async gather({ counts: { candidate, champion, championOf } }) {
    return { candidate: candidate.latency.bins(), champion: champion.latency.bins(), championOf }
  },
  judge(spec, { candidate, champion, championOf }) {
    const { alpha, quantile, samples } = spec
    const [n, m] = [total(candidate), total(champion)]
    if (n === 0 || m === 0)
      return { verdict: 'not enough evidence', text: `${n} requests of the candidate and ${m} of the champion are timed.` }
    const [own, theirs] = [binnedQuantile(candidate, quantile), binnedQuantile(champion, quantile)]
    const allowed = allowedFactor(spec, theirs)
    const rise = quantileRise(champion, candidate, quantile, allowed, { alpha, tightestAt: 4 * samples })
    const isProven = spec.prove && quantileDifference(champion, candidate, quantile, { alpha: 2 * alpha }).high <= theirs * (allowed - 1)
    const text = `${formatShare(quantile, 6)} of the requests took up to ${short(own)} ms with the candidate (${n}) and ${short(theirs)} ms with the champion (${m}, ${championOf}); ${short(theirs * allowed)} ms are allowed.`
    return compareAnswer(spec, { p: rise.p, seemsWorse: own > allowed * theirs, isProven, hasSamples: n >= samples && m >= samples }, text)
  },
  difference(spec, { candidate, champion }) {
    if (total(candidate) === 0 || total(champion) === 0) return null
    const { alpha, quantile } = spec
    const theirs = binnedQuantile(champion, quantile)
    const { value, low, high } = quantileDifference(champion, candidate, quantile, { alpha: 2 * alpha })
    return { unit: 'ms', value, low, high, allowed: theirs * (allowedFactor(spec, theirs) - 1) }
  },
}

/** A difference below `atLeast` is no breach, whatever its factor. */
function allowedFactor({ factor, atLeast }: GateOf<'latency'>, theirs: number): number {
  return Math.max(factor, (theirs + parseDuration(atLeast) / 1000) / theirs)
}

function total({ counts }: Bins): number {
  return counts.reduce((sum, count) => sum + count, 0)
}
