import { sampleRatioP } from '../../../statistics/sample-ratio.ts'
import { readLoggedSides } from '../logged-sides.ts'
import type { Gate } from './gate.ts'
import { isDue, percent, short, evidenceMeter } from './gate.ts'

interface SplitEvidence {
  readonly at: number
  readonly share: number
  /** Distinct units in the log. */
  readonly candidate: number
  readonly champion: number
  /** The least p-value of the looks before. */
  readonly leastP: number
}

/**
 * Whether the candidate has as many units as its share says. A split that differs makes every other comparison
 * doubtful. Valid at every look (`statistics/sample-ratio.ts`).
 */
export const split: Gate<'split', SplitEvidence> = {
  kind: 'split',
  async gather(context, _spec, before) {
    if (before !== null && !isDue(before.at, context)) return before
    const { share } = context.rollout
    const { candidate, champion } = (await readLoggedSides(context)).units
    return { at: context.now, share, candidate, champion, leastP: before === null ? 1 : Math.min(before.leastP, pOf(before)) }
  },
  judge({ alpha, samples, onBreach }, evidence) {
    const { share, candidate, champion, leastP } = evidence
    const n = candidate + champion
    if (share === 0 || share === 1) return { verdict: 'advance', text: 'One version has all units, so there is no split.' }
    const p = Math.min(leastP, pOf(evidence))
    const text = `${candidate} of ${n} units got the candidate, ${percent(candidate / Math.max(1, n))}; its share is ${percent(share)}.`
    const meter = evidenceMeter(p, alpha)
    if (p <= alpha) return { verdict: onBreach, text: `${text} That is no accident (p ${short(p)}).`, meter }
    if (n === 0) return { verdict: 'not enough evidence', text: 'No row was logged. LOCKSTEP_LOG_PREDICTIONS logs a share of them.' }
    return n < samples
      ? { verdict: 'not enough evidence', text: `${text} That is too few: the test needs ${samples} units.`, meter }
      : { verdict: 'advance', text, meter }
  },
}

function pOf({ share, candidate, champion }: SplitEvidence): number {
  return share === 0 || share === 1 ? 1 : sampleRatioP([candidate, champion], [share, 1 - share])
}
