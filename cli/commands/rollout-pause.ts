import { pauseRollout } from '../../registry/rollouts/change-rollout.ts'
import { rolloutChangeAnswer } from '../../serving/protocols/http/rollout-answers.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { rolloutChangeText } from '../rollout-text.ts'

export const rolloutPauseCommand: Command = {
  name: 'rollout pause',
  summary: 'Pause the plan of a rollout: its share stays',
  description: ['The controller leaves the rollout alone until it is resumed. While it is paused, you can change its share by hand.'],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout pause delay --reason "over the weekend"',
  async run(context, input) {
    const [name, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
    const path = `/v1/models/${encodeURIComponent(name)}/rollout/pause`
    const change =
      server === null
        ? await pauseRollout(await context.database(), name, by)
        : await server.ask('POST', path, { reason: by.reason }, rolloutChangeAnswer)
    return { json: change, text: rolloutChangeText(change) }
  },
}
