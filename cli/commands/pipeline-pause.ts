import { reasonOption } from '../actor.ts'
import { changePipeline } from '../change-pipeline.ts'
import type { Command } from '../command.ts'
import { serverOption } from '../remote/server-option.ts'

export const pipelinePauseCommand: Command = {
  name: 'pipeline pause',
  summary: 'Pause a pipeline on all workers',
  description: [
    'Workers finish the messages that they have taken, and take no more. Messages wait in their stream, so make sure that it keeps them long enough.',
  ],
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep pipeline pause score_flights',
  run: (context, input) => changePipeline(context, input, 'pause'),
}
