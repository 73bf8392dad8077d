import { abortRollout } from '../../registry/rollouts/change-rollout.ts'
import { reasonOption } from '../actor.ts'
import { changeRollout } from '../change-rollout.ts'
import type { Command } from '../command.ts'
import { serverOption } from '../remote/server-option.ts'

export const rolloutAbortCommand: Command = {
  name: 'rollout abort',
  summary: 'End a rollout: the champion answers all requests again',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout abort delay --reason "more errors"',
  run: (context, input) => changeRollout(context, input, abortRollout, { action: 'abort' }),
}
