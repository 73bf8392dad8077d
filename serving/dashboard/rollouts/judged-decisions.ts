import { setImmediate as nextTurn } from 'node:timers/promises'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import type { GateAnswer } from '../../../monitoring/rollouts/gates/gate.ts'
import { judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import { storedEvidence } from '../../../monitoring/rollouts/decide.ts'
import { replayDecision } from '../../../monitoring/rollouts/replay.ts'
import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import { controllerActor } from '../../../registry/rollouts/decisions.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import type { DecisionEvidence } from '../contract/rollout.ts'

/** A decision of the controller with what its evidence gives now. */
export interface JudgedDecision {
  readonly decision: RolloutDecision
  /** By index of the plan's gates; null: there is no evidence for the gate. */
  readonly answers: readonly (GateAnswer | null)[]
  /** Whether the same evidence gives the same decision. */
  readonly replay: NonNullable<DecisionEvidence['replay']>
}

const maxKept = 1000
const keptOf = memoizeWeak((_db: Database) => new Map<string, Omit<JudgedDecision, 'decision'>>())

/**
 * Judges the decisions of the controller by the plan of their rollout. A judgement takes milliseconds and never
 * changes, so each decision is judged once, and other work of the process runs between two.
 */
export async function judgeDecisions(
  db: Database,
  { plan }: Pick<Rollout, 'plan'>,
  decisions: readonly RolloutDecision[],
): Promise<readonly JudgedDecision[]> {
  const judged: JudgedDecision[] = []
  if (plan === null) return judged
  const kept = keptOf(db)
  for (const decision of decisions) {
    const { id, at, by, evidence } = decision
    if (by !== controllerActor || evidence === null) continue
    // a later look that changes nothing replaces the one before
    const key = `${id} ${at.getTime()}`
    let found = kept.get(key)
    if (found === undefined) {
      const { gates } = storedEvidence(evidence)
      const answers = plan.gates.map((gate, i) => (gates[i] === null || gates[i] === undefined ? null : judgeGate(gate, gates[i])))
      await nextTurn()
      found = { answers, replay: replayOf(plan, decision) }
      if (kept.size >= maxKept) kept.clear()
      kept.set(key, found)
      await nextTurn()
    }
    judged.push({ decision, ...found })
  }
  return judged
}

function replayOf(plan: NonNullable<Rollout['plan']>, decision: RolloutDecision): JudgedDecision['replay'] {
  try {
    const { action } = replayDecision(plan, decision)
    return { isSame: true, action, says: `The same evidence gives the same decision: ${action}.` }
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    const { replayed } = error.details
    return { isSame: false, action: typeof replayed === 'string' ? replayed : 'none', says: messageOf(error) }
  }
}
