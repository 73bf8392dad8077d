import { stopExperiment } from '../../registry/experiments/change-experiment.ts'
import { experimentChangeAnswer } from '../../serving/protocols/http/experiments/experiment-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { experimentChangeText } from '../text/experiment-change-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const experimentStopCommand: Command = {
  name: 'experiment stop',
  summary: 'Stop an experiment: its units get versions like all other units',
  description: ['Its exposures stay. The analysis counts its units once their windows have passed.'],
  arguments: [{ name: 'NAME', help: 'The experiment.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep experiment stop delay_model_v7 --reason "the planned units are there"',
  async run(context, input) {
    const [name, server, by] = [input.argument('NAME'), serverOf(context, input), actorOf(input)]
    const path = `/v1/experiments/${encodeURIComponent(name)}/stop`
    const change =
      server === null
        ? await stopExperiment(await context.database(), name, by)
        : await server.ask('POST', path, { reason: by.reason }, experimentChangeAnswer)
    return { json: change, text: experimentChangeText(change) }
  },
}
