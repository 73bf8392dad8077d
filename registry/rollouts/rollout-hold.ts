import type { RolloutDecision } from './decisions.ts'
import type { Rollout } from './rollout.ts'

/** Why a rollout holds whose plan is done, if a person promotes its candidate. */
export const stepsDone = 'All steps are done. Promote the candidate when you want to: lockstep rollout promote.'

/** A running rollout that its controller holds. */
export interface RolloutHold {
  /** Since when all looks of the controller have held it. */
  readonly since: Date
  /** Why, one sentence each. */
  readonly reasons: readonly string[]
  /** What a person can do. */
  readonly todo: string
}

/**
 * Whether a rollout holds now; null: it does not.
 *
 * @param decisions newest first
 * @param pinned the version that the model is pinned to, which keeps the controller from looking
 */
export function holdOf({ model, state, paused }: Rollout, [newest]: readonly RolloutDecision[], pinned: number | null): RolloutHold | null {
  if (state !== 'running' || paused || pinned !== null || newest?.action !== 'hold') return null
  const { since, reasons } = newest
  const ways = `"lockstep rollout promote ${model}" makes the candidate the champion, and "lockstep rollout abort ${model}" ends the rollout.`
  // the other reasons are of gates that let it go on
  if (reasons[0] === stepsDone) return { since, reasons: [stepsDone], todo: ways }
  return { since, reasons, todo: `The rollout goes on when no gate holds it any more. To decide yourself: ${ways}` }
}
