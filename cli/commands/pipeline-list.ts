import { pipelineStatuses } from '../../serving/streaming/pipeline-status.ts'
import type { Command } from '../command.ts'
import { table } from '../table.ts'

export const pipelineListCommand: Command = {
  name: 'pipeline list',
  summary: 'List pipelines (streaming inference)',
  example: 'lockstep pipeline list',
  async run(context) {
    const pipelines = await pipelineStatuses(await context.database(), await context.catalog())
    const rows = pipelines.map(({ name, source, model, version, writesTo, paused, deadLetters }) => [
      name,
      source,
      version === null ? model : `${model}@${version}`,
      writesTo,
      paused ? 'paused' : 'running',
      String(deadLetters),
    ])
    const text = table(['NAME', 'SOURCE', 'MODEL', 'WRITES TO', 'STATE', 'DEAD LETTERS'], rows)
    return { json: { pipelines }, text: rows.length === 0 ? 'There are no pipelines. Declare one by pipeline(…).' : text }
  },
}
