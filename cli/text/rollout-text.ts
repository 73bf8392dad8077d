import { durationText, measuredText, parseDuration } from '../../kernel/values/duration.ts'
import { formatShare } from '../../kernel/values/format-number.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { RolloutChange } from '../../registry/rollouts/rollout-transaction.ts'
import type { RolloutDecision } from '../../registry/rollouts/decisions.ts'
import { requestUnit } from '../../registry/rollouts/rollout.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import { count, moment } from './human.ts'

/** `5%` or `0.05`. @throws LockstepError `USAGE` */
export function parseShare(text: string): number {
  const percent = /^(\d+(?:\.\d+)?)\s*%$/.exec(text)?.[1]
  const share = percent === undefined ? (/^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN) : Number(percent) / 100
  if (share >= 0 && share <= 1) return share
  throw new LockstepError('USAGE', `"${text}" is not a share; write a percentage such as 5%, or a number from 0 to 1.`)
}

/** `5 %`, `0.25 %` */
export function shareText(share: number): string {
  return formatShare(share, 6)
}

/** A rollout in the registry, or as a server answers it. */
type ShownRollout = Omit<Rollout, 'startedAt' | 'endedAt' | 'since' | 'plan' | 'revision' | 'id'> & {
  readonly startedAt: Date | string
  readonly endedAt: Date | string | null
  readonly since: Date | string
  readonly plan: {
    readonly steps: readonly { readonly share: number; readonly atLeast: string; readonly samples: number }[]
    readonly gates: readonly { readonly kind: string }[]
    readonly every: string
  } | null
}

/** A decision in the registry, or as a server answers it. */
type ShownDecision = Pick<RolloutDecision, 'id' | 'step' | 'by' | 'reasons' | 'shareBefore' | 'shareAfter'> & {
  readonly at: Date | string
  readonly action: string
}

/** A rollout with its decisions, in the registry or as a server answers it. */
export interface ShownHistory {
  /** null: the model is not pinned. */
  readonly pinned: number | null
  /** The version that answers requests which name none and are not of the candidate; null: there is none. */
  readonly serves: number | null
  readonly rollout: ShownRollout | null
  /** null: it does not hold. */
  readonly hold: { readonly since: Date | string; readonly reasons: readonly string[]; readonly todo: string } | null
  readonly decisions: readonly ShownDecision[]
}

export function rolloutChangeText({
  rollout,
  notes,
  servers,
}: Pick<RolloutChange, 'notes' | 'servers'> & { readonly rollout: ShownRollout }): string {
  const slow = servers !== undefined && servers.loaded < servers.asked
  return [
    changeText(rollout),
    ...notes,
    ...(slow ? [`${servers.loaded} of ${servers.asked} servers had loaded it; the others load it now.`] : []),
  ].join('\n')
}

function changeText({ model, version, state, share, unit, plan, step, paused }: ShownRollout): string {
  switch (state) {
    case 'running':
      if (plan !== null && paused)
        return [
          `The plan of ${model}@${version} is paused. It keeps ${shareText(share)} of the requests without a version.`,
          `"lockstep rollout resume ${model}" begins step ${(step ?? 0) + 1} again, with ${shareText(plan.steps[step ?? 0]?.share ?? share)}.`,
        ].join('\n')
      if (plan !== null)
        return `${model}@${version} gets ${shareText(share)} of the requests without a version, ${unitText(unit)}: step ${(step ?? 0) + 1} of ${plan.steps.length}. "lockstep rollout show ${model} --watch" follows it.`
      return `${model}@${version} gets ${shareText(share)} of the requests without a version, ${unitText(unit)}.`
    case 'promoted':
      return `${model}@${version} is the champion, and its rollout has ended.`
    case 'aborted':
    case 'rolled back':
      return `The rollout of ${model}@${version} has ended. The champion has all requests without a version again.`
    default:
      return state satisfies never
  }
}

const maxShown = 20
/** After a worker has died, another one begins within so long. */
const takeOverMs = 120_000

/** @param nowMs epoch milliseconds */
export function rolloutText(model: string, { pinned, serves, rollout, hold, decisions }: ShownHistory, nowMs: number): string {
  if (rollout === null) return `The model ${model} has had no rollout.`
  const { version, state, share, unit, salt, startedBy, startedAt, endedAt } = rollout
  const shown = decisions.slice(0, maxShown).map(decisionText)
  const end = endedAt === null ? undefined : decisions.find(({ shareAfter }) => shareAfter === null)
  return [
    `candidate  ${model}@${version}`,
    ...(endedAt === null
      ? [`state      ${state}${rollout.paused ? ', paused' : ''}`]
      : [
          `state      ended: ${state} at ${moment(new Date(endedAt))} UTC${end === undefined ? '' : ` by ${end.by}`}`,
          ...(end?.reasons ?? []).map((reason) => `           ${reason}`),
          `now        ${serves === null ? 'no version answers' : `${model}@${serves} answers all requests without a version`}`,
        ]),
    ...(pinned === null
      ? []
      : [
          `pinned     to version ${pinned}${endedAt === null ? ', which answers whatever the rollout says' : ''}: lockstep model unpin ${model}`,
        ]),
    `${endedAt === null ? 'share     ' : 'last share'} ${shareText(share)}, ${unitText(unit)}`,
    ...planLines(rollout),
    ...(hold === null ? [] : [`holds      since ${moment(new Date(hold.since))} UTC. ${hold.reasons[0] ?? ''}`, `to do      ${hold.todo}`]),
    ...(pinned === null ? unattendedLines(rollout, decisions, nowMs) : []),
    `salt       ${salt}`,
    `started    ${moment(new Date(startedAt))} UTC by ${startedBy}`,
    ...(shown.length === 0 ? [] : ['', 'decisions', ...shown]),
  ].join('\n')
}

function planLines({ plan, step, since, state }: ShownRollout): string[] {
  if (plan === null) return []
  const present = plan.steps[step ?? 0]
  const steps = plan.steps.map(({ share }, i) => (i === step ? `[${shareText(share)}]` : shareText(share))).join('  ')
  const place = `${(step ?? 0) + 1} of ${plan.steps.length}`
  const until =
    present === undefined || state !== 'running'
      ? ''
      : `, at least ${durationText(parseDuration(present.atLeast))} and ${count(present.samples)} rows`
  return [
    `steps      ${steps}`,
    // the end of a rollout is a revision, too, so its moment says nothing of the step
    state === 'running' ? `step       ${place} since ${moment(new Date(since))} UTC${until}` : `last step  ${place}`,
    `gates      ${plan.gates.map(({ kind }) => kind).join(', ')}`,
  ]
}

/** A controller looks as often as the plan says, and each look is stored. */
function unattendedLines({ plan, paused, state, since }: ShownRollout, [newest]: readonly ShownDecision[], nowMs: number): string[] {
  if (plan === null || paused || state !== 'running') return []
  const lastMs = Math.max(new Date(since).getTime(), newest === undefined ? 0 : new Date(newest.at).getTime())
  const silentMs = nowMs - lastMs
  if (silentMs < takeOverMs + (3 * parseDuration(plan.every)) / 1000) return []
  return [
    `unattended no worker has asked the gates for ${measuredText(Math.floor(silentMs / 1000))}: run lockstep worker, or lockstep serve with the embedded database`,
  ]
}

export function decisionText({ id, at, action, step, by, reasons, shareBefore, shareAfter }: ShownDecision): string {
  const moved =
    shareBefore === shareAfter || shareBefore === null || shareAfter === null
      ? ''
      : ` ${shareText(shareBefore)} to ${shareText(shareAfter)}`
  const head = `  ${moment(new Date(at))}  ${action}${moved}${step === null ? '' : `  step ${step + 1}`}  by ${by}  (decision ${id})`
  return [head, ...reasons.map((reason) => `    ${reason}`)].join('\n')
}

export function unitText(unit: string): string {
  return unit === requestUnit ? 'by request' : `by "${unit}"`
}
