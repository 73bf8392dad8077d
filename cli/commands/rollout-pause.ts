import { pauseRollout } from '../../registry/rollouts/change-rollout.ts'
import { reasonOption } from '../actor.ts'
import { changeRollout } from '../change-rollout.ts'
import type { Command } from '../command.ts'
import { serverOption } from '../remote/server-option.ts'

export const rolloutPauseCommand: Command = {
  name: 'rollout pause',
  summary: 'Pause the plan of a rollout: its share stays',
  description: ['The controller does not change a paused rollout. You can change its share by hand until you resume it.'],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout pause delay --reason "over the weekend"',
  run: (context, input) => changeRollout(context, input, pauseRollout, { action: 'pause' }),
}
