import type { ControllerDecision } from '../../registry/rollouts/act-on-decision.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { gateTitle } from '../../registry/rollouts/check-plan.ts'
import type { RolloutDecision } from '../../registry/rollouts/decisions.ts'
import { controllerActor } from '../../registry/rollouts/decisions.ts'
import type { RolloutPlan } from '../../registry/rollouts/plan-schema.ts'
import { decide, storedEvidence } from './decide.ts'

/**
 * Decides again from the evidence that is stored with a decision. Reasons are the same if they are of the same gates
 * and have the same figures: a newer version of Lockstep may use other words, and add figures.
 *
 * @throws LockstepError `INVALID_REQUEST` for a decision of a person; `DECISION_MISMATCH` if it comes out otherwise,
 *   saying what differs
 */
export function replayDecision(plan: RolloutPlan, decision: RolloutDecision): ControllerDecision {
  const { id, by, step, action, reasons, evidence } = decision
  if (by !== controllerActor || step === null || evidence === null)
    throw new LockstepError(
      'INVALID_REQUEST',
      `The decision ${id} ("${action}") was made by ${by} and not by the controller, so there is nothing to replay.`,
    )
  const again = decide(plan, step, storedEvidence(evidence))
  const titles = plan.gates.map((gate) => `${gateTitle(gate)}: `)
  const differs = again.reasons.find((reason, i) => !isSameReason(titles, reasons[i], reason)) ?? reasons[again.reasons.length]
  if (again.action === action && differs === undefined) return again
  const why = again.action === action ? `the reason "${differs}" differs` : `it is "${again.action}" now: ${again.reasons.join(' ')}`
  throw new LockstepError(
    'DECISION_MISMATCH',
    `The decision ${id} was "${action}", and the same evidence decides otherwise: ${why} Another version of Lockstep decided then.`,
    { details: { decision: id, stored: action, replayed: again.action } },
  )
}

function isSameReason(titles: readonly string[], stored: string | undefined, replayed: string): boolean {
  if (stored === undefined) return false
  const titleOf = (reason: string) => titles.find((title) => reason.startsWith(title))
  if (titleOf(stored) !== titleOf(replayed)) return false
  const then = figuresOf(stored)
  // those of then come in the same order, with others between them
  const found = figuresOf(replayed).reduce((count, figure) => (figure === then[count] ? count + 1 : count), 0)
  return found === then.length
}

function figuresOf(text: string): string[] {
  return text.match(/-?\d+(\.\d+)?(e[+-]?\d+)?/g) ?? []
}
