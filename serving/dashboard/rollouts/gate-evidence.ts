import { isRecord } from '../../../kernel/is-record.ts'
import { storedEvidence } from '../../../monitoring/rollouts/decide.ts'
import { gateDifference, judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import type { GateAnswer, GateMeter } from '../../../monitoring/rollouts/gates/gate.ts'
import { minEntities } from '../../../monitoring/rollouts/gates/quality.ts'
import { gateTitle } from '../../../registry/rollouts/check-plan.ts'
import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import type { Series } from '../contract/answer.ts'
import type { DecisionEvidence, RolloutData } from '../contract/rollout.ts'
import { percent } from '../models/drift-lines.ts'
import type { JudgedDecision } from './judged-decisions.ts'

/** Each step keeps only the newest check of each kind that changes nothing. */
const notKept = 'No check is kept of the time until then: of checks that change nothing, each step keeps the newest.'

type Gates = NonNullable<Rollout['plan']>['gates']

/**
 * The result of each gate for the newest evidence, and how its evidence grew.
 *
 * @param looks of the controller, newest first, judged by `judgeDecisions`
 * @param isPast whether it is another moment than now
 */
export function judgedGates(gates: Gates, looks: readonly JudgedDecision[], isPast: boolean): RolloutData['gates'] {
  const evidence = looks[0] === undefined ? null : storedEvidence(looks[0].decision.evidence)
  return gates.map((gate, i) => {
    const own = evidence?.gates[i] ?? null
    const answers = looks.map(({ decision, answers: all }) => ({ at: decision.at, answer: all[i] ?? null }))
    const answer = answers[0]?.answer ?? null
    const verdict = answer?.verdict === 'advance' ? 'passes' : answer?.verdict === 'roll back' ? 'fails' : 'undecided'
    return {
      name: gateTitle(gate),
      verdict,
      says: answer?.text ?? evidence?.failures[i] ?? (isPast ? notKept : 'The controller has not looked yet.'),
      progress: verdict === 'undecided' ? progressOf(gate, own) : 1,
      ...meterOf(answers, gate),
    }
  })
}

/** The evidence of a gate at each stored look, with the line at which it decides. */
function meterOf(
  answers: readonly { readonly at: Date; readonly answer: GateAnswer | null }[],
  gate: Gates[number],
): Pick<RolloutData['gates'][number], 'evidence' | 'bound'> {
  const points = answers
    .flatMap(({ at, answer }) => (answer?.meter === undefined ? [] : [{ t: at.getTime(), ...answer.meter }]))
    .toReversed()
  const newest = points.at(-1)
  if (newest === undefined) return { evidence: null, bound: null }
  const { unit, bound } = newest
  const isShare = unit === 'share'
  const series: Series = {
    label: isShare ? 'share' : 'evidence',
    unit: isShare ? 'share' : 'odds',
    points: points.map(({ t, value: v }) => ({ t, v })),
  }
  const line = gate.kind === 'split' ? 'shown to be wrong' : 'shown to be worse'
  return { evidence: { finding: meterText(gate, newest), series: [series] }, bound: { value: bound, name: isShare ? 'allowed' : line } }
}

function meterText(gate: Gates[number], { unit, value, bound }: GateMeter): string {
  if (unit === 'share') return `${percent(value)}; more than ${percent(bound)} stops the rollout.`
  const fault = gate.kind === 'split' ? 'the split is wrong' : 'the candidate is worse'
  return `Evidence that ${fault}: ${odds(value)} to 1. It is shown at ${odds(bound)} to 1.`
}

/** The result of each gate for the evidence of one decision of the controller. */
export function decidedGates(gates: Gates, stored: RolloutDecision['evidence']): DecisionEvidence['gates'] {
  const evidence = storedEvidence(stored)
  return gates.map((gate, i) => {
    const own = evidence.gates[i] ?? null
    const name = gateTitle(gate)
    if (own === null) {
      const says = `Its evidence could not be gathered: ${evidence.failures[i] ?? 'none is stored'}`
      return { name, verdict: 'not enough evidence', says, difference: null, meter: null }
    }
    const { verdict, text, meter } = judgeGate(gate, own)
    const difference = gateDifference(gate, own)
    const isKnown = difference !== null && Object.values(difference).every((each) => typeof each !== 'number' || Number.isFinite(each))
    return {
      name,
      verdict,
      says: text,
      difference: isKnown ? difference : null,
      meter: meter === undefined ? null : { says: meterText(gate, meter), reached: reachedOf(meter) },
    }
  })
}

function reachedOf({ value, bound }: GateMeter): number {
  return bound > 0 ? Math.min(1, value / bound) : value > 0 ? 1 : 0
}

const twoDigits = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 })

function odds(log10: number): string {
  return log10 > 6 ? 'more than 1,000,000' : twoDigits.format(10 ** log10)
}

/** Which share of the samples, and of the entities, that a gate needs is there: the least of both sides. */
export function progressOf(gate: Gates[number], evidence: unknown): number | null {
  if (!('samples' in gate) || !isRecord(evidence)) return null
  // gates of features count entities, gates of times count in bins
  const sides = isRecord(evidence['entities']) ? evidence['entities'] : evidence
  const reached = ['candidate', 'champion'].flatMap((side) => {
    const own = sides[side]
    const { requests, rows, n, counts: binned, spread } = isRecord(own) ? own : {}
    const inBins = Array.isArray(binned) ? binned.reduce((sum: number, each) => sum + Number(each), 0) : undefined
    const count = requests ?? rows ?? n ?? inBins ?? own
    const entities = isRecord(spread) && typeof spread['entities'] === 'number' ? [spread['entities'] / minEntities] : []
    return typeof count === 'number' ? [count / gate.samples, ...entities] : []
  })
  return reached.length === 0 ? null : Math.min(1, ...reached)
}
