import { durationText, parseDuration } from '../../../kernel/values/duration.ts'
import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import type { CatalogModel } from '../../../registry/catalog.ts'
import { aliasAt } from '../../../registry/find/past-inventory.ts'
import { championAlias } from '../../../registry/models/model-aliases.ts'
import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import { controllerActor, readDecision, readDecisions } from '../../../registry/rollouts/decisions.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import { readRollouts } from '../../../registry/rollouts/rollout.ts'
import { holdOf } from '../../../registry/rollouts/rollout-hold.ts'
import type { DecisionEvidence, RolloutData } from '../contract/rollout.ts'
import { decisionEvidence as decisionContract, rollout as rolloutContract } from '../contract/rollout.ts'
import { percent } from '../models/drift-lines.ts'
import { modelAt } from '../models/model-at.ts'
import { modelRevision } from '../models/model-revision.ts'
import { versionEvidence, versionTraffic } from '../models/version-traffic.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { decidedGates, judgedGates } from './gate-evidence.ts'
import { judgeDecisions } from './judged-decisions.ts'
import { rolloutAt } from './rollout-at.ts'

/** A rollout of a model: the one that is asked for, else the running or the last one. */
export const rolloutModel = readModel({
  path: '/rollouts/:id',
  scope: 'ui:read',
  query: z.object({ rollout: z.coerce.number().int().min(1).optional() }),
  data: rolloutContract,
  async read(ask) {
    const {
      db,
      params,
      now,
      isPast,
      query: { rollout: asked },
    } = ask
    const model = await modelAt(ask, params['id'] ?? '')
    const at = new Date(now / 1000)
    const all = (await readRollouts(db.kysely, model.name)).filter((each) => !isPast || each.startedAt <= at)
    const chosen = asked === undefined ? (all[0] ?? null) : (all.find(({ id }) => id === asked) ?? null)
    if (asked !== undefined && chosen === null) throw new LockstepError('NOT_FOUND', `The model "${model.name}" has no rollout ${asked}.`)
    const known = chosen === null ? null : { rollout: chosen, decisions: await readDecisions(db.kysely, chosen.id) }
    const { rollout, decisions } = (known !== null && isPast ? rolloutAt(known, at) : known) ?? { rollout: null, decisions: [] }
    const judged = rollout === null ? [] : await judgeDecisions(db, rollout, decisions)
    const replays = new Map(judged.map(({ decision, replay }) => [decision.id, replay]))
    const gates = rollout?.plan === null || rollout === null ? [] : judgedGates(rollout.plan.gates, judged, isPast)
    const evidence =
      rollout?.state === 'running'
        ? [versionEvidence(await versionTraffic(ask, model.name), rollout.version), ...new Set(gates.map(({ says }) => says))]
        : []
    const data: RolloutData = {
      model: model.name,
      champion: await championDuring(ask, model, rollout),
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
              steps: (rollout.plan?.steps ?? []).map(({ share, atLeast, samples }) => ({
                share,
                atLeast: durationText(parseDuration(atLeast)),
                samples,
              })),
              step: rollout.step,
              paused: rollout.paused,
              since: rollout.since.toISOString(),
              startedBy: rollout.startedBy,
              startedAt: rollout.startedAt.toISOString(),
              endedAt: rollout.endedAt?.toISOString() ?? null,
              revision: await modelRevision(db, model.name),
            },
      headline: headlineOf(model, rollout, decisions, isPast),
      evidence,
      traffic: trafficOf(rollout, decisions, model.pin, ask),
      gates,
      decisions: decisions.map((decision) => decisionOf(decision, replays.get(decision.id))),
      others: all.filter((other) => other.id !== rollout?.id).map((other) => otherOf(other, isPast ? at : null)),
    }
    return { data }
  },
})

/** The evidence of a decision, and whether it gives the same decision again. */
export const decisionModel = readModel({
  path: '/rollouts/:id/decisions/:decision',
  scope: 'ui:read',
  data: decisionContract,
  async read({ db, deps, params }) {
    const model = deps.catalog().model(params['id'] ?? '')
    const found = await readDecision(db.kysely, model.name, params['decision'] ?? '')
    if (found === null)
      throw new LockstepError('NOT_FOUND', `No rollout of "${model.name}" has a decision "${(params['decision'] ?? '').slice(0, 50)}".`)
    const { rollout, decision } = found
    const [judged] = await judgeDecisions(db, rollout, [decision])
    const data: DecisionEvidence = {
      decision: decisionOf(decision, judged?.replay),
      gates: rollout.plan === null || !isByController(decision) ? [] : decidedGates(rollout.plan.gates, decision.evidence),
      facts: factsOf(decision.evidence),
      replay: judged?.replay ?? null,
    }
    return { data }
  },
})

function decisionOf(
  { id, at, step, action, by, reasons, shareBefore, shareAfter, evidence }: RolloutDecision,
  replay: DecisionEvidence['replay'] | undefined,
): RolloutData['decisions'][number] {
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
    replaysSame: replay?.isSame ?? null,
  }
}

function isByController({ by, evidence }: RolloutDecision): boolean {
  return by === controllerActor && evidence !== null
}

/** @param at the moment that is shown; null: now */
function otherOf({ id, version, state, share, startedAt, endedAt }: Rollout, at: Date | null): RolloutData['others'][number] {
  const hasEnded = endedAt !== null && (at === null || endedAt <= at)
  return {
    id: String(id),
    version,
    state: hasEnded ? state : 'running',
    share,
    startedAt: startedAt.toISOString(),
    endedAt: hasEnded ? endedAt.toISOString() : null,
  }
}

/** The champion when a rollout began that has ended since: another one may answer now. */
async function championDuring({ db }: Ask, model: CatalogModel, rollout: Rollout | null): Promise<number | null> {
  if (rollout === null || rollout.endedAt === null) return model.aliases.get(championAlias)?.version ?? null
  return await aliasAt(db, model.name, championAlias, rollout.startedAt)
}

function headlineOf(
  { name, pin, aliases }: Pick<CatalogModel, 'name' | 'pin' | 'aliases'>,
  rollout: Rollout | null,
  decisions: readonly RolloutDecision[],
  isPast: boolean,
): string {
  if (rollout === null) return isPast ? `${name} had had no rollout.` : `${name} has had no rollout.`
  const candidate = `${name}@${rollout.version}`
  const is = isPast ? 'was' : 'is'
  const answers = isPast ? 'answered' : 'answers'
  const allRequests = 'all requests that name no version'
  const pinned = pin === null ? '' : `${name}@${pin} ${is} pinned and ${answers} ${allRequests}. `
  const champion = aliases.get(championAlias)?.version
  if (rollout.state === 'promoted' && champion === rollout.version)
    return `${pinned}${candidate} ${is} the champion: its rollout ${isPast ? 'had' : 'has'} ended.`
  const at = rollout.endedAt === null ? '' : ` at ${rollout.endedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`
  if (rollout.state === 'promoted') {
    const other = champion === undefined ? `No version ${is}` : `${name}@${champion} ${is}`
    return `${pinned}${candidate} was promoted${at}. ${other} the champion ${isPast ? 'then' : 'now'}.`
  }
  if (rollout.state !== 'running') {
    const why = decisions[0]?.reasons[0]
    const now = pin === null ? `the champion ${answers} again` : `${name}@${pin}, which ${is} pinned, ${answers} ${allRequests}`
    return `The rollout of ${candidate} was ${rollout.state}${at}: ${now}.${why === undefined ? '' : ` Reason: ${why}`}`
  }
  const wouldAnswer = isPast ? 'would have answered' : 'would answer'
  const own = pin === null ? `${candidate} ${answers}` : `${pinned}Without the pin, ${candidate} ${wouldAnswer}`
  const share = `${own} ${percent(rollout.share)} of the requests`
  if (rollout.plan === null) return `${share}. The share ${is} changed by hand.`
  const step = `${share}: step ${(rollout.step ?? 0) + 1} of ${rollout.plan.steps.length}`
  if (rollout.paused) return `${step}. It ${is} paused.`
  const hold = holdOf(rollout, decisions, pin)
  if (hold !== null) {
    const since = `${hold.since.toISOString().slice(0, 16).replace('T', ' ')} UTC`
    const held = `${step}. It ${isPast ? 'had held' : 'has held'} since ${since}: ${hold.reasons[0] ?? ''}`
    return isPast ? held : `${held} ${hold.todo}`
  }
  const [last] = decisions
  return last?.action === 'not enough evidence' ? `${step}. ${last.reasons[0] ?? ''}` : `${step}.`
}

/** The share that was set, as steps: two points for each change. */
function trafficOf(
  rollout: Rollout | null,
  decisions: readonly RolloutDecision[],
  pin: number | null,
  { now, isPast }: Pick<Ask, 'now' | 'isPast'>,
): RolloutData['traffic'] {
  if (rollout === null) return { finding: 'There is no rollout.', series: [] }
  const changes = decisions.filter(({ shareBefore, shareAfter }) => shareBefore !== shareAfter).toReversed()
  const points = changes.flatMap(({ at, shareBefore, shareAfter }) => [
    { t: at.getTime() - 1, v: shareBefore ?? 0 },
    { t: at.getTime(), v: shareAfter ?? (rollout.state === 'promoted' ? 1 : 0) },
  ])
  const end = rollout.endedAt?.getTime() ?? now / 1000
  const last = points.at(-1)
  const all = last === undefined ? [{ t: rollout.startedAt.getTime(), v: rollout.share }] : points
  const share = all.at(-1)?.v ?? 0
  const most = Math.max(...all.map(({ v }) => v))
  const after = `after ${changes.length} ${changes.length === 1 ? 'change' : 'changes'}`
  const isPinned = pin !== null && rollout.state === 'running'
  return {
    finding: isPinned
      ? `The share of the candidate ${isPast ? 'was' : 'is'} set to ${percent(share)} ${after}. ${pinnedShare(rollout, pin, isPast)}`
      : share === 0 && most > 0
        ? `The candidate got at most ${percent(most)} of the requests, and none in the end.`
        : `The candidate got ${percent(share)} of the requests ${after}.`,
    series: [
      { label: `version ${rollout.version}`, unit: 'share', points: [...all, { t: Math.max(end, last?.t ?? 0), v: all.at(-1)?.v ?? 0 }] },
    ],
  }
}

/** Says which share of the requests without a version the candidate gets. */
function pinnedShare({ version }: Rollout, pin: number, isPast: boolean): string {
  const [gets, is] = isPast ? ['got', 'was'] : ['gets', 'is']
  return `It ${gets} ${pin === version ? 'all requests that name no version' : 'none'}, as version ${pin} ${is} pinned.`
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
