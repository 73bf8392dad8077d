import { pinModel } from '../../registry/models/pin-model.ts'
import { pinChangeAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { pinChangeText } from '../text/model-text.ts'
import { atOnceOption, untriedOption } from '../promote-with-progress.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { versionArgument } from '../version-argument.ts'

export const modelPinCommand: Command = {
  name: 'model pin',
  summary: 'Send all traffic of a model to one version at once, until it is unpinned',
  description: [
    'Use it in an emergency. The pinned version answers all requests that name no version, on every server within a second, even during a rollout or an experiment. "lockstep model unpin" ends the pin.',
    'All running servers load the version first, for at most 30 seconds. If one cannot, nothing changes.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The version, by its number or an alias: delay@3, delay@champion.' }],
  options: { reason: reasonOption, 'at-once': atOnceOption, untried: untriedOption, server: serverOption },
  example: 'lockstep model pin delay@2 --reason "version 3 answers wrongly"',
  async run(context, input) {
    const { model, version } = versionArgument(input, 'gets all traffic')
    const [server, by] = [serverOf(context, input), actorOf(input)]
    const options = { atOnce: input.flag('at-once'), untried: input.flag('untried') }
    const change =
      server === null
        ? await pinModel(await context.database(), model, version, by, { ...options, signal: context.signal })
        : await server.ask(
            'PUT',
            `/v1/models/${encodeURIComponent(model)}/pin`,
            { version, reason: by.reason, ...options },
            pinChangeAnswer,
          )
    return { json: change, text: pinChangeText(change) }
  },
}
