import { changeShare } from '../../registry/rollouts/change-rollout.ts'
import { reasonOption } from '../actor.ts'
import { changeRollout } from '../change-rollout.ts'
import type { Command } from '../command.ts'
import { serverOption } from '../remote/server-option.ts'
import { parseShare } from '../text/rollout-text.ts'

export const rolloutShareCommand: Command = {
  name: 'rollout share',
  summary: 'Change the share of a rollout',
  description: [
    'With a larger share, all units that have the candidate keep it. With a smaller share, some units return to the champion. Pause a rollout with a plan first.',
  ],
  arguments: [
    { name: 'NAME', help: 'The model.' },
    { name: 'SHARE', help: 'The share of the candidate: 20%, or 0.2.' },
  ],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout share delay 20%',
  async run(context, input) {
    const share = parseShare(input.argument('SHARE'))
    const how = { action: 'share', method: 'PUT', body: { share } } as const
    return await changeRollout(context, input, (db, name, by) => changeShare(db, name, share, by), how)
  },
}
