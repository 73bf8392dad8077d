import { resumeRollout } from '../../registry/rollouts/change-rollout.ts'
import { rolloutChangeAnswer } from '../../serving/protocols/http/rollout-answers.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { rolloutChangeText } from '../rollout-text.ts'

export const rolloutResumeCommand: Command = {
  name: 'rollout resume',
  summary: 'Resume the plan of a rollout',
  description: ['The present step begins again: with its share, and with new evidence.'],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout resume delay',
  async run(context, input) {
    const [name, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
    const path = `/v1/models/${encodeURIComponent(name)}/rollout/resume`
    const change =
      server === null
        ? await resumeRollout(await context.database(), name, by)
        : await server.ask('POST', path, { reason: by.reason }, rolloutChangeAnswer)
    return { json: change, text: rolloutChangeText(change) }
  },
}
