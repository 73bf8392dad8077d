import { readLastRollout } from '../../registry/rollouts/rollout.ts'
import { rolloutAnswer } from '../../serving/protocols/http/response-schemas.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { rolloutText } from '../rollout-text.ts'

export const rolloutShowCommand: Command = {
  name: 'rollout show',
  summary: 'Show the running rollout of a model, or its last one',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { server: serverOption },
  example: 'lockstep rollout show delay',
  async run(context, input) {
    const [name, server] = [input.argument('NAME'), serverOf(context, input)]
    if (server !== null) {
      const { rollout } = await server.ask('GET', `/v1/models/${encodeURIComponent(name)}/rollout`, undefined, rolloutAnswer)
      return { json: { model: name, rollout }, text: rolloutText(name, rollout) }
    }
    // reports a misspelt name as an error
    const model = (await context.catalog()).model(name)
    const rollout = await readLastRollout((await context.database()).kysely, model.name)
    return { json: { model: name, rollout }, text: rolloutText(name, rollout) }
  },
}
