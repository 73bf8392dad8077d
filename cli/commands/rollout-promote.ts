import { promoteRollout } from '../../registry/rollouts/change-rollout.ts'
import { rolloutChangeAnswer } from '../../serving/protocols/http/rollout-answers.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { rolloutChangeText } from '../rollout-text.ts'

export const rolloutPromoteCommand: Command = {
  name: 'rollout promote',
  summary: 'Make the candidate of a rollout the champion, and end the rollout',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout promote delay --reason "as good as before"',
  async run(context, input) {
    const [name, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
    const path = `/v1/models/${encodeURIComponent(name)}/rollout/promote`
    const change =
      server === null
        ? await promoteRollout(await context.database(), name, by)
        : await server.ask('POST', path, { reason: by.reason }, rolloutChangeAnswer)
    return { json: change, text: rolloutChangeText(change) }
  },
}
