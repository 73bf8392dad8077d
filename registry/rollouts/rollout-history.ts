import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import { readModelPins } from '../models/model-pins.ts'
import type { RolloutDecision } from './decisions.ts'
import { readDecisions } from './decisions.ts'
import type { Rollout } from './rollout.ts'
import { readLastRollout } from './rollout.ts'
import type { RolloutHold } from './rollout-hold.ts'
import { holdOf } from './rollout-hold.ts'

/** A rollout with its decisions, newest first. */
export interface RolloutHistory {
  /** null: the model had none. */
  readonly rollout: Rollout | null
  /** null: it does not hold. */
  readonly hold: RolloutHold | null
  readonly decisions: readonly RolloutDecision[]
}

/** The running rollout of a model, or its last one. */
export async function readRolloutHistory(kysely: Kysely<LockstepTables>, model: string): Promise<RolloutHistory> {
  const rollout = await readLastRollout(kysely, model)
  if (rollout === null) return { rollout, hold: null, decisions: [] }
  const decisions = await readDecisions(kysely, rollout.id)
  return { rollout, hold: holdOf(rollout, decisions, (await readModelPins(kysely)).get(model) ?? null), decisions }
}
