import { resumeRollout } from '../../registry/rollouts/change-rollout.ts'
import { reasonOption } from '../actor.ts'
import { changeRollout } from '../change-rollout.ts'
import type { Command } from '../command.ts'
import { serverOption } from '../remote/server-option.ts'

export const rolloutResumeCommand: Command = {
  name: 'rollout resume',
  summary: 'Resume the plan of a rollout',
  description: ['The present step begins again, with its share and with new evidence.'],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout resume delay',
  run: (context, input) => changeRollout(context, input, resumeRollout, { action: 'resume' }),
}
