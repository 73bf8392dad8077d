import { listExperiments } from '../../registry/experiments/list-experiments.ts'
import { experimentsAnswer } from '../../serving/protocols/http/experiments/experiment-schemas.ts'
import type { Command } from '../command.ts'
import { experimentsText } from '../text/experiment-change-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const experimentListCommand: Command = {
  name: 'experiment list',
  summary: 'List experiments with their states',
  description: ['Lists running experiments first. "planned" means declared, and never started.'],
  options: { server: serverOption },
  example: 'lockstep experiment list',
  async run(context, input) {
    const server = serverOf(context, input)
    const experiments =
      server === null
        ? await listExperiments((await context.database()).kysely, await context.catalog())
        : (await server.ask('GET', '/v1/experiments', undefined, experimentsAnswer)).experiments
    return { json: { experiments }, text: experimentsText(experiments, context.terminal.width) }
  },
}
