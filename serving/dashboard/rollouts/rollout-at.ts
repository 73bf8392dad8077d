import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'

/** A rollout with its decisions, newest first. */
export interface KnownRollout {
  readonly rollout: Rollout
  readonly decisions: readonly RolloutDecision[]
}

/**
 * A rollout as it was at a moment, by its decisions until then. Of looks that changed nothing, only the newest of each
 * kind in a step is stored, so some are missing.
 */
export function rolloutAt({ rollout, decisions }: KnownRollout, at: Date): KnownRollout {
  const until = decisions.filter((decision) => decision.at <= at)
  const ended = rollout.endedAt !== null && rollout.endedAt <= at
  if (ended) return { rollout, decisions: until }
  const changes = until.filter(({ action }) => action !== 'hold' && action !== 'not enough evidence')
  const [last] = changes
  const pausing = changes.find(({ action }) => action === 'pause' || action === 'resume')
  // a decision is noted at the step that it was made in
  const step = last?.step ?? rollout.step
  return {
    rollout: {
      ...rollout,
      state: 'running',
      endedAt: null,
      share: last?.shareAfter ?? rollout.share,
      step: last?.action === 'advance' && step !== null ? step + 1 : step,
      paused: pausing?.action === 'pause',
      since: last?.at ?? rollout.startedAt,
    },
    decisions: until,
  }
}
