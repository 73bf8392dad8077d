import { pipelineAnswer } from '../../serving/protocols/http/streaming/pipeline-schemas.ts'
import type { PipelineStatus } from '../../serving/streaming/pipeline-status.ts'
import { pipelineLag, pipelineStatus } from '../../serving/streaming/pipeline-status.ts'
import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const pipelineShowCommand: Command = {
  name: 'pipeline show',
  summary: 'Show a pipeline: what it reads and writes, whether it runs, and how many messages wait',
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  options: { server: serverOption },
  example: 'lockstep pipeline show score_flights',
  async run(context, input) {
    const { status, lag, problem } = await read(context, input.argument('NAME'), serverOf(context, input))
    const { paused, version, model, replays, replayedFrom, replayedAt } = status
    const fields: readonly (readonly [string, string])[] = [
      ['state', paused ? 'paused' : 'running where a worker runs'],
      ['reads', `${status.reads ?? 'nothing: the source has no stream any more'}, for the source ${status.source}`],
      ['group', status.group ?? ''],
      ['model', version === null ? model : `${model}@${version}`],
      ['writes to', status.writesTo],
      ['answers', `${status.guarantee ?? ''}${status.ledger ? ', kept in the ledger' : ''}`],
      ['waiting', lag === null ? `unknown: ${problem}` : `${lag.waiting} messages, and ${lag.pending} given to workers`],
      ['dead letters', String(status.deadLetters)],
      ['replayed', replayedFrom === null ? '' : `from ${replayedFrom}, at ${replayedAt} (${replays})`],
    ]
    const shown = fields.filter(([, value]) => value !== '')
    const width = Math.max(...shown.map(([name]) => name.length))
    const text = shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
    return { json: { ...status, lag, problem }, text: `${status.name}\n${text}` }
  },
}

interface Shown {
  readonly status: PipelineStatus
  readonly lag: StreamLag | null
  /** Why it is not known how many messages wait. */
  readonly problem: string | null
}

async function read(context: Context, name: string, server: Server | null): Promise<Shown> {
  if (server !== null) {
    const { pipeline } = await server.ask('GET', `/v1/pipelines/${encodeURIComponent(name)}`, undefined, pipelineAnswer)
    const problem = 'servers read no streams. The metric lockstep_pipeline_lag_messages of a worker says it'
    return { status: pipeline, lag: null, problem }
  }
  const [db, catalog] = [await context.database(), await context.catalog()]
  const status = await pipelineStatus(db, catalog, name)
  const found = await pipelineLag(db, context.config, catalog, status.name)
  return { status, ...(typeof found === 'string' ? { lag: null, problem: found } : { lag: found, problem: null }) }
}
