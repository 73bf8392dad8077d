import { pausePipeline } from '../../serving/streaming/pipeline-state.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'

export const pipelinePauseCommand: Command = {
  name: 'pipeline pause',
  summary: 'Pause a pipeline on all workers',
  description: [
    'Workers finish the messages that they have taken, and take no more. Messages wait in their stream, so make sure that it keeps them long enough.',
  ],
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  options: { reason: reasonOption },
  example: 'lockstep pipeline pause score_flights',
  async run(context, input) {
    const { name } = (await context.catalog()).pipeline(input.argument('NAME')).spec
    const changed = await pausePipeline(await context.database(), name, actorOf(input))
    return {
      json: { pipeline: name, paused: true, changed },
      text: changed ? `The pipeline "${name}" is paused. Workers stop within seconds.` : `The pipeline "${name}" was paused already.`,
    }
  },
}
