import { LockstepError } from '../kernel/errors.ts'
import type { RolloutChange } from '../registry/rollouts/change-rollout.ts'
import { requestUnit } from '../registry/rollouts/rollout.ts'
import type { Rollout } from '../registry/rollouts/rollout.ts'
import { moment } from './human.ts'

/** `5%` or `0.05`. @throws LockstepError `USAGE` */
export function parseShare(text: string): number {
  const percent = /^(\d+(?:\.\d+)?)\s*%$/.exec(text)?.[1]
  const share = percent === undefined ? (/^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN) : Number(percent) / 100
  if (share >= 0 && share <= 1) return share
  throw new LockstepError('USAGE', `"${text}" is not a share; write a percentage such as 5%, or a number from 0 to 1.`)
}

/** `5 %`, `0.25 %` */
export function shareText(share: number): string {
  return `${Number((share * 100).toPrecision(6))} %`
}

/** A rollout in the registry, or as a server answers it. */
type ShownRollout = Omit<Rollout, 'startedAt' | 'endedAt'> & { readonly startedAt: Date | string; readonly endedAt: Date | string | null }

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

function changeText({ model, version, state, share, unit }: ShownRollout): string {
  switch (state) {
    case 'running':
      return `${model}@${version} gets ${shareText(share)} of the requests without a version, ${unitText(unit)}.`
    case 'promoted':
      return `${model}@${version} is the champion, and its rollout has ended.`
    case 'aborted':
      return `The rollout of ${model}@${version} has ended. The champion has all requests without a version again.`
    default:
      return state satisfies never
  }
}

export function rolloutText(model: string, rollout: ShownRollout | null): string {
  if (rollout === null) return `The model ${model} has had no rollout.`
  const { version, state, share, unit, salt, startedBy, startedAt, endedAt } = rollout
  return [
    `candidate  ${model}@${version}`,
    `state      ${state}${endedAt === null ? '' : ` at ${moment(new Date(endedAt))} UTC`}`,
    `share      ${shareText(share)}, ${unitText(unit)}`,
    `salt       ${salt}`,
    `started    ${moment(new Date(startedAt))} UTC by ${startedBy}`,
  ].join('\n')
}

export function unitText(unit: string): string {
  return unit === requestUnit ? 'by request' : `by "${unit}"`
}
