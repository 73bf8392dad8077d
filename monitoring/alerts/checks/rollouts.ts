import { asRecord } from '../../../kernel/is-record.ts'
import { measuredText, parseDuration } from '../../../kernel/values/duration.ts'
import { formatShare } from '../../../kernel/values/format-number.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { readDecisions } from '../../../registry/rollouts/decisions.ts'
import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import { readRecentRollouts } from '../../../registry/rollouts/rollout.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import { holdOf } from '../../../registry/rollouts/rollout-hold.ts'
import type { CheckKind, CheckResult } from '../check-kind.ts'

type Spec = CheckOf<'rollouts'>

/** More kinds of looks than a step has are not needed. */
const maxDecisions = 5

/**
 * Finds newest rollouts that their controller rolled back in the window, or has held for too long. It remembers what it
 * reported last of a model. A rollback after a hold notifies again, under the same alert.
 */
export const rollouts: CheckKind<Spec> = async ({ db, catalog, monitor: { target }, window, memoryOf }, { maxHold }) => {
  const models = [...catalog.models.values()].filter(({ name, operational }) =>
    target.kind === 'model' ? name === target.model : operational.monitors !== 'none',
  )
  const newest = await readRecentRollouts(db.kysely, new Date(window.from / 1000))
  const results: CheckResult[] = []
  for (const { name, pin } of models) {
    const rollout = newest.get(name)
    const before = asRecord(memoryOf(name))['reported']
    if (rollout !== undefined) {
      const decisions = await readDecisions(db.kysely, rollout.id, maxDecisions)
      const found = judge(rollout, decisions, pin, { now: window.to, maxHoldMicros: parseDuration(maxHold), before })
      const isNew = found.state === 'breach' && before !== undefined && before !== asRecord(found.memory)['reported']
      results.push(isNew ? { ...found, joined: found.cause ?? '' } : found)
    } else if (before !== undefined) results.push(fine(name))
  }
  return results.length === 0 ? [{ ...fine('rollouts'), n: 0 }] : results
}

interface Given {
  /** Epoch microseconds. */
  readonly now: number
  readonly maxHoldMicros: number
  /** What was reported of the model last. */
  readonly before: unknown
}

function judge(
  rollout: Rollout,
  decisions: readonly RolloutDecision[],
  pin: number | null,
  { now, maxHoldMicros, before }: Given,
): CheckResult {
  const { id, model, version, state, share, step, plan, revision } = rollout
  const [newest] = decisions
  const evidence = {
    rollout: id,
    candidate: version,
    share,
    step: step === null || plan === null ? null : `${step + 1} of ${plan.steps.length}`,
    reasons: [...(newest?.reasons ?? [])],
  }
  const place = evidence.step === null ? '' : `, in step ${evidence.step} with ${formatShare(share)} of the requests`
  if (state === 'rolled back') {
    const why = newest?.action === 'roll back' ? ` ${whyOf(newest.reasons)}` : ''
    const cause = `The rollout of "${model}@${version}" was rolled back at ${minuteText(rollout.endedAt ?? rollout.since)}${place}.${why} The champion answers all requests again. "lockstep rollout show ${model}" has the evidence. Mend the candidate, and start another rollout.`
    return { ...fine(model), state: 'breach', evidence, cause, memory: { reported: `${id} rolled back` } }
  }
  const held = `${id} held ${revision}`
  const hold = holdOf(rollout, decisions, pin)
  if (hold !== null) {
    const micros = now - hold.since.getTime() * 1000
    const figures = { value: micros / 1e6, threshold: maxHoldMicros / 1e6, evidence }
    if (micros >= maxHoldMicros) {
      const cause = `The rollout of "${model}@${version}" has held for ${measuredText(Math.floor(micros / 1e6))}, since ${minuteText(hold.since)}${place}. ${whyOf(hold.reasons)} ${hold.todo} "lockstep rollout show ${model}" has the evidence.`
      return { ...fine(model), ...figures, state: 'breach', cause, memory: { reported: held } }
    }
  }
  // a gate that holds at some looks, and not at others, must not resolve and fire an alert each time
  const last = decisions.find(({ action, revision: its }) => action === 'hold' && its === revision)
  const isRecent = last !== undefined && now - last.at.getTime() * 1000 < maxHoldMicros
  if (state === 'running' && !rollout.paused && pin === null && before === held && isRecent) {
    const cause = `The rollout of "${model}@${version}" held until ${minuteText(last.at)}.`
    return { ...fine(model), evidence, state: 'unknown', cause, memory: { reported: held } }
  }
  return { ...fine(model), evidence }
}

function fine(subject: string): CheckResult {
  return { subject, state: 'ok', value: null, threshold: null, n: null, evidence: null, cause: null }
}

/** The first reason, which names its gate. */
function whyOf([first = '', ...others]: readonly string[]): string {
  const more = others.length === 0 ? '' : ` ${others.length} more ${others.length === 1 ? 'reason is' : 'reasons are'} in the evidence.`
  return `${first}${more}`
}

function minuteText(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
