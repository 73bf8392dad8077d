import { reasonOption } from '../actor.ts'
import { changePipeline } from '../change-pipeline.ts'
import type { Command } from '../command.ts'
import { serverOption } from '../remote/server-option.ts'

export const pipelineResumeCommand: Command = {
  name: 'pipeline resume',
  summary: 'Resume a paused pipeline',
  description: ['Workers continue with the first message that is not answered.'],
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep pipeline resume score_flights',
  run: (context, input) => changePipeline(context, input, 'resume'),
}
