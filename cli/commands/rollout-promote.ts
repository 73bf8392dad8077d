import { promoteRollout } from '../../registry/rollouts/change-rollout.ts'
import { reasonOption } from '../actor.ts'
import { changeRollout } from '../change-rollout.ts'
import type { Command } from '../command.ts'
import { serverOption } from '../remote/server-option.ts'

export const rolloutPromoteCommand: Command = {
  name: 'rollout promote',
  summary: 'Make the candidate of a rollout the champion, and end the rollout',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout promote delay --reason "as good as before"',
  run: (context, input) => changeRollout(context, input, promoteRollout, { action: 'promote' }),
}
