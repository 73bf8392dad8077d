import { startExperiment } from '../../registry/experiments/change-experiment.ts'
import { experimentChangeAnswer } from '../../serving/protocols/http/experiments/experiment-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { experimentChangeText } from '../text/experiment-change-text.ts'
import { datasetMismatchOption } from '../promote-with-progress.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const experimentStartCommand: Command = {
  name: 'experiment start',
  summary: 'Start an experiment: its units get its variants',
  description: [
    'The experiment applies to requests that name no version. A hash of the unit decides for each row, so a unit always gets the same variant. The rollout or the champion answers units that are not in the experiment.',
    'A variant that serves an alias, such as champion, keeps the version to which the alias points now. All running servers load the versions first, for at most 30 seconds each. If one cannot, nothing changes.',
    'Each start is a new run with a new salt, so a restarted experiment has other units.',
  ],
  arguments: [{ name: 'NAME', help: 'The experiment.' }],
  options: { reason: reasonOption, 'dataset-mismatch': datasetMismatchOption, server: serverOption },
  example: 'lockstep experiment start delay_model_v7 --reason "weather features"',
  async run(context, input) {
    const [name, server, by] = [input.argument('NAME'), serverOf(context, input), actorOf(input)]
    const start = { datasetMismatch: input.flag('dataset-mismatch') }
    const path = `/v1/experiments/${encodeURIComponent(name)}/start`
    const change =
      server === null
        ? await startExperiment(await context.database(), name, start, by, { signal: context.signal })
        : await server.ask('POST', path, { ...start, reason: by.reason }, experimentChangeAnswer)
    return { json: change, text: experimentChangeText(change) }
  },
}
