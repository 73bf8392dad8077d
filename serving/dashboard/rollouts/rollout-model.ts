import { z } from 'zod'
import { judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import type { Evidence } from '../../../monitoring/rollouts/decide.ts'
import { replayDecision } from '../../../monitoring/rollouts/replay.ts'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { isRecord } from '../../../kernel/is-record.ts'
import { championAlias } from '../../../registry/model-aliases.ts'
import { gateTitle } from '../../../registry/rollouts/check-plan.ts'
import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import { controllerActor } from '../../../registry/rollouts/decisions.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import { readRolloutHistory } from '../../../registry/rollouts/rollout-history.ts'
import type { DecisionEvidence, RolloutData } from '../contract/rollout.ts'
import { decisionEvidence as decisionContract, rollout as rolloutContract } from '../contract/rollout.ts'
import { percent } from '../models/drift-lines.ts'
import { modelRevision } from '../models/model-revision.ts'
import { readModel } from '../read-model.ts'

/** The running rollout of a model, or its last one. */
export const rolloutModel = readModel({
  path: '/rollouts/:id',
  scope: 'ui:read',
  query: z.object({}),
  data: rolloutContract,
  async read({ db, deps, params, now }) {
    const model = deps.catalog().model(params['id'] ?? '')
    const { rollout, decisions } = await readRolloutHistory(db.kysely, model.name)
    const newest = decisions.find((each) => each.by === controllerActor && each.evidence !== null) ?? null
    const data: RolloutData = {
      model: model.name,
      champion: model.aliases.get(championAlias)?.version ?? null,
      pinned: model.pin,
      rollout:
        rollout === null
          ? null
          : {
              id: String(rollout.id),
              version: rollout.version,
              state: rollout.state,
              share: rollout.share,
              unit: rollout.unit,
              steps: (rollout.plan?.steps ?? []).map(({ share, atLeast, samples }) => ({ share, atLeast, samples })),
              step: rollout.step,
              paused: rollout.paused,
              since: rollout.since.toISOString(),
              startedBy: rollout.startedBy,
              startedAt: rollout.startedAt.toISOString(),
              endedAt: rollout.endedAt?.toISOString() ?? null,
              revision: await modelRevision(db, model.name),
            },
      headline: headlineOf(model.name, rollout, decisions),
      traffic: trafficOf(rollout, decisions, now),
      gates: rollout?.plan === null || rollout === null ? [] : gatesOf(rollout.plan.gates, newest),
      decisions: decisions.map(decisionOf),
      others: [],
    }
    return { data }
  },
})

/** What was decided on, and whether the same is decided again. */
export const decisionModel = readModel({
  path: '/rollouts/:id/decisions/:decision',
  scope: 'ui:read',
  query: z.object({}),
  data: decisionContract,
  async read({ db, deps, params }) {
    const model = deps.catalog().model(params['id'] ?? '')
    const { rollout, decisions } = await readRolloutHistory(db.kysely, model.name)
    const found = decisions.find(({ id }) => String(id) === params['decision'])
    if (rollout === null || found === undefined)
      throw new LockstepError('NOT_FOUND', `The rollout of "${model.name}" has no decision "${(params['decision'] ?? '').slice(0, 50)}".`)
    const data: DecisionEvidence = { decision: decisionOf(found), facts: factsOf(found.evidence), replay: replayOf(rollout, found) }
    return { data }
  },
})

function decisionOf(decision: RolloutDecision): RolloutData['decisions'][number] {
  const { id, at, step, action, by, reasons, shareBefore, shareAfter, evidence } = decision
  return {
    id: String(id),
    at: at.toISOString(),
    step,
    action,
    by,
    reasons: [...reasons],
    shareBefore,
    shareAfter,
    hasEvidence: evidence !== null && by === controllerActor,
  }
}

function headlineOf(model: string, rollout: Rollout | null, decisions: readonly RolloutDecision[]): string {
  if (rollout === null) return `${model} has had no rollout.`
  const candidate = `${model}@${rollout.version}`
  if (rollout.state === 'promoted') return `${candidate} is the champion: its rollout has ended.`
  if (rollout.state !== 'running') return `The rollout of ${candidate} was ${rollout.state}: the champion answers again.`
  const share = `${candidate} answers ${percent(rollout.share)} of the requests`
  if (rollout.plan === null) return `${share}. The share is changed by hand.`
  const step = `${share}: step ${(rollout.step ?? 0) + 1} of ${rollout.plan.steps.length}`
  if (rollout.paused) return `${step}. It is paused.`
  const [last] = decisions
  const waits = last?.action === 'not enough evidence' || last?.action === 'hold' ? ` ${last.reasons[0] ?? ''}` : ''
  return `${step}.${waits}`
}

/** The share as steps: two points for each change. */
function trafficOf(rollout: Rollout | null, decisions: readonly RolloutDecision[], now: number): RolloutData['traffic'] {
  if (rollout === null) return { finding: 'There is no rollout.', series: [] }
  const changes = decisions.filter(({ shareBefore, shareAfter }) => shareBefore !== shareAfter).toReversed()
  const points = changes.flatMap(({ at, shareBefore, shareAfter }) => [
    { t: at.getTime() - 1, v: shareBefore ?? 0 },
    { t: at.getTime(), v: shareAfter ?? (rollout.state === 'promoted' ? 1 : 0) },
  ])
  const end = rollout.endedAt?.getTime() ?? now / 1000
  const last = points.at(-1)
  const all = last === undefined ? [{ t: rollout.startedAt.getTime(), v: rollout.share }] : points
  const finding = `The candidate went to ${percent(all.at(-1)?.v ?? 0)} in ${changes.length} ${changes.length === 1 ? 'change' : 'changes'}.`
  return {
    finding,
    series: [
      { label: `version ${rollout.version}`, unit: 'share', points: [...all, { t: Math.max(end, last?.t ?? 0), v: all.at(-1)?.v ?? 0 }] },
    ],
  }
}

type Gates = NonNullable<Rollout['plan']>['gates']

/** What each gate says of the newest evidence. */
function gatesOf(gates: Gates, newest: RolloutDecision | null): RolloutData['gates'] {
  const evidence = newest === null ? null : (newest.evidence as unknown as Evidence) // the controller has stored it
  return gates.map((gate, i) => {
    const own = evidence?.gates[i] ?? null
    const answer = own === null ? null : judgeGate(gate, own)
    const verdict = answer?.verdict === 'advance' ? 'passes' : answer?.verdict === 'roll back' ? 'fails' : 'undecided'
    return {
      name: gateTitle(gate),
      verdict,
      says: answer?.text ?? evidence?.failures[i] ?? 'The controller has not looked yet.',
      progress: verdict === 'undecided' ? progressOf(gate, own) : 1,
      evidence: null,
      bound: null,
    }
  })
}

/** How many of the samples that a gate needs are there: the fewer of both sides. */
function progressOf(gate: Gates[number], evidence: unknown): number | null {
  if (!('samples' in gate) || !isRecord(evidence)) return null
  const counts = (['candidate', 'champion'] as const).flatMap((side) => {
    const { requests, rows, n } = isRecord(evidence[side]) ? evidence[side] : {}
    const count = requests ?? rows ?? n
    return typeof count === 'number' ? [count] : []
  })
  return counts.length === 0 ? null : Math.min(1, Math.min(...counts) / gate.samples)
}

const maxFacts = 200

/** Evidence as names and values, in the order that it was stored. */
function factsOf(evidence: unknown): DecisionEvidence['facts'] {
  const facts: DecisionEvidence['facts'] = []
  const walk = (value: unknown, path: string): void => {
    if (facts.length >= maxFacts || value === null || value === undefined) return
    if (typeof value !== 'object')
      facts.push({ name: path, value: typeof value === 'string' ? value.slice(0, 500) : JSON.stringify(value) })
    else for (const [name, inner] of Object.entries(value)) walk(inner, path === '' ? name : `${path}.${name}`)
  }
  walk(evidence, '')
  return facts
}

function replayOf({ plan }: Rollout, decision: RolloutDecision): DecisionEvidence['replay'] {
  if (plan === null || decision.evidence === null || decision.by !== controllerActor) return null
  try {
    const { action } = replayDecision(plan, decision)
    return { isSame: true, action, says: `The same evidence gives the same decision: ${action}.` }
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    const { replayed } = error.details
    return { isSame: false, action: typeof replayed === 'string' ? replayed : 'none', says: messageOf(error) }
  }
}
