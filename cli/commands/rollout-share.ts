import { changeShare } from '../../registry/rollouts/change-rollout.ts'
import { rolloutChangeAnswer } from '../../serving/protocols/http/rollout-answers.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { parseShare, rolloutChangeText } from '../rollout-text.ts'

export const rolloutShareCommand: Command = {
  name: 'rollout share',
  summary: 'Change the share of a rollout',
  description: [
    'A larger share moves nobody who is in. A smaller one moves only those who leave. A rollout with a plan must be paused first.',
  ],
  arguments: [
    { name: 'NAME', help: 'The model.' },
    { name: 'SHARE', help: 'The share of the candidate: 20%, or 0.2.' },
  ],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep rollout share delay 20%',
  async run(context, input) {
    const [name, share, by] = [input.argument('NAME'), parseShare(input.argument('SHARE')), actorOf(input)]
    const [server, path] = [serverOf(context, input), `/v1/models/${encodeURIComponent(name)}/rollout/share`]
    const change =
      server === null
        ? await changeShare(await context.database(), name, share, by)
        : await server.ask('PUT', path, { share, reason: by.reason }, rolloutChangeAnswer)
    return { json: change, text: rolloutChangeText(change) }
  },
}
