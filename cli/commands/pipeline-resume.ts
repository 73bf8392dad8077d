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
  async run(context, input) {
    const change = await changePipeline(context, input, 'resume')
    const { pipeline: name, changed } = change
    return {
      json: change,
      text: changed ? `The pipeline "${name}" runs again.` : `The pipeline "${name}" was not paused.`,
    }
  },
}
