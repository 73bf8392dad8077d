import { proportionDifference, proportionRise } from '../../../statistics/proportion-difference.ts'
import { failuresOf } from '../compared-counts.ts'
import type { SideCounts } from '../side-counts.ts'
import type { Gate } from './gate.ts'
import { compareAnswer, percent } from './gate.ts'

interface Side {
  readonly requests: number
  readonly failed: number
  readonly codes: Readonly<Record<string, number>>
}

interface ErrorsEvidence {
  readonly candidate: Side
  readonly champion: Side
  readonly championOf: string
}

/**
 * Whether more requests fail with the candidate than with the champion. One-sided, exact and valid at every look
 * (`statistics/proportion-difference.ts`). Without a champion to compare with, the margin is the limit itself.
 */
export const errors: Gate<'errors', ErrorsEvidence> = {
  kind: 'errors',
  async gather({ counts: { candidate, champion, championOf } }) {
    return { candidate: sideOf(candidate), champion: sideOf(champion), championOf }
  },
  judge(spec, { candidate, champion, championOf }) {
    const none = championOf === 'nothing'
    const [control, treatment] = [drawsOfChampion(champion, championOf), draws(candidate)]
    const { alpha, margin, samples } = spec
    const { value, p } = proportionRise(control, treatment, { alpha, nullValue: margin })
    const isProven = spec.prove && proportionDifference(control, treatment, { alpha: 2 * alpha }).high <= margin
    const [worst] = Object.entries(candidate.codes).toSorted((a, b) => b[1] - a[1])
    const against = none ? 'no champion to compare with' : `${champion.failed} of ${champion.requests} with the champion (${championOf})`
    const most = worst === undefined ? '' : ` Most are ${worst[0]}.`
    const text = `${candidate.failed} of ${candidate.requests} requests failed with the candidate, ${against}; ${percent(margin)} more are allowed.${most}`
    const hasSamples = candidate.requests >= samples && (none || champion.requests >= samples)
    return compareAnswer(spec, { p, seemsWorse: value > margin, isProven, hasSamples }, text)
  },
  difference({ alpha, margin }, { candidate, champion, championOf }) {
    const [control, treatment] = [drawsOfChampion(champion, championOf), draws(candidate)]
    if (control.n === 0 || treatment.n === 0) return null
    const { value, low, high } = proportionDifference(control, treatment, { alpha: 2 * alpha })
    return { unit: 'share', value, low, high, allowed: margin }
  },
}

/** Without a champion, the candidate is compared with this many requests of which none failed. */
const manyRequests = 1_000_000

function sideOf(counts: SideCounts): Side {
  // what the caller has done wrong is no request that the version could have answered
  const all = [...counts.errors.values()].reduce((sum, count) => sum + count, 0)
  const { failed, codes } = failuresOf(counts)
  return { requests: counts.requests - all + failed, failed, codes }
}

function drawsOfChampion(champion: Side, championOf: string): ReturnType<typeof draws> {
  return championOf === 'nothing' ? { successes: 0, n: manyRequests } : draws(champion)
}

function draws({ requests, failed }: Side): { readonly successes: number; readonly n: number } {
  return { successes: failed, n: requests }
}
