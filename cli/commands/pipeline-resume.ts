import { resumePipeline } from '../../serving/streaming/pipeline-state.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'

export const pipelineResumeCommand: Command = {
  name: 'pipeline resume',
  summary: 'Resume a paused pipeline',
  description: ['Workers go on with the first message that is not answered.'],
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  options: { reason: reasonOption },
  example: 'lockstep pipeline resume score_flights',
  async run(context, input) {
    const { name } = (await context.catalog()).pipeline(input.argument('NAME')).spec
    const changed = await resumePipeline(await context.database(), name, actorOf(input))
    return {
      json: { pipeline: name, paused: false, changed },
      text: changed ? `The pipeline "${name}" runs again.` : `The pipeline "${name}" was not paused.`,
    }
  },
}
