import { pipelinesAnswer } from '../../serving/protocols/http/streaming/pipeline-schemas.ts'
import { pipelineStatuses } from '../../serving/streaming/pipeline-status.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const pipelineListCommand: Command = {
  name: 'pipeline list',
  summary: 'List pipelines (streaming inference)',
  options: { server: serverOption },
  example: 'lockstep pipeline list',
  async run(context, input) {
    const server = serverOf(context, input)
    const pipelines =
      server === null
        ? await pipelineStatuses(await context.database(), await context.catalog())
        : (await server.ask('GET', '/v1/pipelines', undefined, pipelinesAnswer)).pipelines
    const rows = pipelines.map(({ name, source, model, version, writesTo, paused, deadLetters }) => [
      name,
      source,
      version === null ? model : `${model}@${version}`,
      writesTo,
      paused ? 'yes' : 'no',
      String(deadLetters),
    ])
    const text = table(['NAME', 'SOURCE', 'MODEL', 'WRITES TO', 'PAUSED', 'DEAD LETTERS'], rows)
    return { json: { pipelines }, text: rows.length === 0 ? 'There are no pipelines. Declare one by pipeline(…).' : text }
  },
}
