import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { RolloutDecision } from './decisions.ts'
import { readDecisions } from './decisions.ts'
import type { Rollout } from './rollout.ts'
import { readLastRollout } from './rollout.ts'

/** A rollout with its decisions, newest first. */
export interface RolloutHistory {
  /** null: the model had none. */
  readonly rollout: Rollout | null
  readonly decisions: readonly RolloutDecision[]
}

/** The running rollout of a model, or its last one. */
export async function readRolloutHistory(kysely: Kysely<LockstepTables>, model: string): Promise<RolloutHistory> {
  const rollout = await readLastRollout(kysely, model)
  return { rollout, decisions: rollout === null ? [] : await readDecisions(kysely, rollout.id) }
}
