import { stopShadow } from '../../registry/rollouts/change-shadow.ts'
import { shadowChangeAnswer } from '../../serving/protocols/http/rollouts/shadow-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { shadowChangeText } from '../text/shadow-text.ts'

export const shadowStopCommand: Command = {
  name: 'shadow stop',
  summary: 'Stop the shadow of a model',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep shadow stop delay',
  async run(context, input) {
    const [name, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
    const path = `/v1/models/${encodeURIComponent(name)}/shadow/stop`
    const change =
      server === null
        ? await stopShadow(await context.database(), name, by)
        : await server.ask('POST', path, { reason: by.reason }, shadowChangeAnswer)
    return { json: change, text: shadowChangeText(change) }
  },
}
