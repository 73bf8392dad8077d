import { unpinModel } from '../../registry/models/pin-model.ts'
import { pinChangeAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { pinChangeText } from '../text/model-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const modelUnpinCommand: Command = {
  name: 'model unpin',
  summary: 'End the pin of a model: its champion answers again',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep model unpin delay --reason "version 4 is fixed"',
  async run(context, input) {
    const [name, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
    const path = `/v1/models/${encodeURIComponent(name)}/pin`
    const query = by.reason === undefined ? '' : `?reason=${encodeURIComponent(by.reason)}`
    const change =
      server === null
        ? await unpinModel(await context.database(), name, by)
        : await server.ask('DELETE', `${path}${query}`, undefined, pinChangeAnswer)
    return { json: change, text: pinChangeText(change) }
  },
}
