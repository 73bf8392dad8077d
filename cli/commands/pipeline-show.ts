import { pipelineLag, pipelineStatuses } from '../../serving/streaming/pipeline-status.ts'
import type { Command } from '../command.ts'

export const pipelineShowCommand: Command = {
  name: 'pipeline show',
  summary: 'Show a pipeline: what it reads and writes, whether it runs, and how many messages wait',
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  example: 'lockstep pipeline show score_flights',
  async run(context, input) {
    const [db, catalog] = [await context.database(), await context.catalog()]
    const { spec } = catalog.pipeline(input.argument('NAME'))
    const status = (await pipelineStatuses(db, catalog)).find(({ name }) => name === spec.name)
    const found = await pipelineLag(db, context.config, catalog, spec.name)
    const [lag, problem] = typeof found === 'string' ? [null, found] : [found, null]
    const { paused, version, model, replays, replayedFrom, replayedAt } = status ?? {}
    const fields: readonly (readonly [string, string])[] = [
      ['state', paused === true ? 'paused' : 'running where a worker runs'],
      ['reads', `${status?.reads ?? 'nothing: the source has no stream any more'}, for the source ${spec.source}`],
      ['group', status?.group ?? ''],
      ['model', version === null ? `${model}` : `${model}@${version}`],
      ['writes to', status?.writesTo ?? ''],
      ['answers', `${status?.guarantee ?? ''}${spec.ledger ? ', kept in the ledger' : ''}`],
      ['waiting', lag === null ? `unknown: ${problem}` : `${lag.waiting} messages, and ${lag.pending} given to workers`],
      ['dead letters', String(status?.deadLetters ?? 0)],
      ['replayed', (replayedFrom ?? null) === null ? '' : `from ${replayedFrom}, at ${replayedAt} (${replays})`],
    ]
    const shown = fields.filter(([, value]) => value !== '')
    const width = Math.max(...shown.map(([name]) => name.length))
    const text = shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
    return { json: { ...status, lag, problem }, text: `${spec.name}\n${text}` }
  },
}
