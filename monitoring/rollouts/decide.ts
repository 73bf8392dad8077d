import { durationText, measuredText, parseDuration } from '../../kernel/values/duration.ts'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { ControllerDecision } from '../../registry/rollouts/act-on-decision.ts'
import { gateTitle } from '../../registry/rollouts/check-plan.ts'
import type { RolloutPlan } from '../../registry/rollouts/plan-schema.ts'
import { stepsDone } from '../../registry/rollouts/rollout-hold.ts'
import { judgeGate } from './gates/all-gates.ts'
import type { GateAnswer } from './gates/gate.ts'

/** The evidence of a decision, as plain JSON. It is stored with the decision. */
export interface Evidence {
  /** How long the step has lasted, microseconds. */
  readonly micros: number
  /** Rows that the candidate has answered in the step. */
  readonly rows: number
  /** How often a server began to bypass the candidate, and the rows that the champion answered in its place. */
  readonly bypasses: number
  readonly bypassedRows: number
  /** By index of the plan's gates. null: the evidence could not be gathered, and `failures` says why. */
  readonly gates: readonly (JsonValue | null)[]
  readonly failures: readonly (string | null)[]
}

/** The evidence of a decision, as the controller has stored it. */
export function storedEvidence(stored: JsonValue | null): Evidence {
  return stored as unknown as Evidence
}

/**
 * Decides about a step. A pure function: the same plan, step and evidence give the same decision.
 *
 *     a gate says roll back, or servers bypass the candidate   -> roll back
 *     a gate says hold                                         -> hold
 *     the step is too short, or a gate lacks evidence          -> not enough evidence
 *     else                                                     -> advance, after the last step promote
 *
 * @param step the index of the step
 */
export function decide(plan: RolloutPlan, step: number, evidence: Evidence): ControllerDecision {
  const answers = plan.gates.map((gate, i) => {
    const own = evidence.gates[i] ?? null
    const answer: GateAnswer =
      own === null
        ? { verdict: 'not enough evidence', text: `Its evidence could not be gathered: ${evidence.failures[i] ?? 'none is stored'}` }
        : judgeGate(gate, own)
    return { ...answer, optional: gate.optional, reason: `${gateTitle(gate)}: ${answer.text}` }
  })
  const reasonsOf = (verdict: GateAnswer['verdict']) => answers.flatMap((answer) => (answer.verdict === verdict ? [answer.reason] : []))
  const breaches = reasonsOf('roll back')
  if (evidence.bypasses > 0)
    breaches.unshift(
      `Servers bypass the candidate because it fails too often: the champion answered ${evidence.bypassedRows} rows in its place.`,
    )
  if (breaches.length > 0) return { action: 'roll back', reasons: breaches }
  const holds = reasonsOf('hold')
  if (holds.length > 0) return { action: 'hold', reasons: holds }
  const missing = [...stepReasons(plan, step, evidence), ...answers.flatMap(lackOf)]
  if (missing.length > 0) return { action: 'not enough evidence', reasons: missing }
  // what is missing is optional
  const reasons = [...reasonsOf('advance'), ...reasonsOf('not enough evidence')]
  if (step < plan.steps.length - 1) return { action: 'advance', reasons }
  if (plan.promote === 'automatic') return { action: 'promote', reasons }
  return { action: 'hold', reasons: [stepsDone, ...reasons] }
}

function lackOf({ verdict, optional, reason }: GateAnswer & { readonly optional: boolean; readonly reason: string }): string[] {
  return verdict === 'not enough evidence' && !optional ? [reason] : []
}

function stepReasons({ steps }: RolloutPlan, step: number, { micros, rows }: Evidence): string[] {
  const present = steps[step]
  if (present === undefined) return [`The plan has no step ${step + 1}.`]
  const atLeast = parseDuration(present.atLeast)
  const reasons: string[] = []
  if (micros < atLeast)
    reasons.push(
      `The step lasts at least ${durationText(atLeast)}; ${micros < 1e6 ? 'it has just begun' : `${measuredText(Math.floor(micros / 1e6))} are over`}.`,
    )
  if (rows < present.samples)
    reasons.push(`The candidate must answer at least ${present.samples} rows in the step; it has answered ${rows}.`)
  return reasons
}
