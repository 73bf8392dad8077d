import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'

/** A rollout with its decisions, newest first. */
export interface KnownRollout {
  readonly rollout: Rollout
  readonly decisions: readonly RolloutDecision[]
}

/**
 * A rollout as it was at a moment, by its decisions until then. Of looks that changed nothing, only the newest of each
 * kind in a step is stored, so some are missing. Before the oldest decision that is known, the rollout is shown as that
 * decision found it.
 */
export function rolloutAt({ rollout, decisions }: KnownRollout, at: Date): KnownRollout {
  const until = decisions.filter((decision) => decision.at <= at)
  const ended = rollout.endedAt !== null && rollout.endedAt <= at
  if (ended) return { rollout, decisions: until }
  const isChange = ({ action }: RolloutDecision): boolean => action !== 'hold' && action !== 'not enough evidence'
  const isPausing = ({ action }: RolloutDecision): boolean => action === 'pause' || action === 'resume'
  const last = until.find(isChange)
  const next = decisions.findLast((decision) => decision.at > at && isChange(decision))
  const pausing = until.find(isPausing)
  const nextPausing = decisions.findLast((decision) => decision.at > at && isPausing(decision))
  // a decision is noted at the step that it was made in
  const step = last?.step ?? next?.step ?? rollout.step
  return {
    rollout: {
      ...rollout,
      state: 'running',
      endedAt: null,
      share: last?.shareAfter ?? next?.shareBefore ?? rollout.share,
      step: last?.action === 'advance' && step !== null ? step + 1 : step,
      paused: pausing === undefined ? nextPausing?.action === 'resume' : pausing.action === 'pause',
      since: last?.at ?? rollout.startedAt,
    },
    decisions: until,
  }
}
