import { pipelineAnswer } from '../../serving/protocols/http/streaming/pipeline-schemas.ts'
import type { PipelineStatus } from '../../serving/streaming/pipeline-status.ts'
import { pipelineLag, pipelineStatus } from '../../serving/streaming/pipeline-status.ts'
import type { PipelineActivity } from '../../serving/streaming/read-pipeline-minutes.ts'
import { activityOf } from '../../serving/streaming/read-pipeline-minutes.ts'
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
    const { status, activity, lag, problem } = await read(context, input.argument('NAME'), serverOf(context, input))
    const { paused, version, model, replays, replayedFrom, replayedAt } = status
    const fields: readonly (readonly [string, string])[] = [
      ['state', paused ? 'paused' : stateText(activity)],
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
    return { json: { ...status, workers: activity.workers, failing: activity.failing, lag, problem }, text: `${status.name}\n${text}` }
  },
}

interface Shown {
  readonly status: PipelineStatus
  readonly activity: Pick<PipelineActivity, 'workers' | 'failing'>
  readonly lag: StreamLag | null
  /** Why it is not known how many messages wait. */
  readonly problem: string | null
}

function stateText({ workers, failing }: Shown['activity']): string {
  if (workers === 0) return 'not running: no process runs it. "lockstep worker" runs all pipelines'
  if (failing !== null) return `waiting, and tries again: ${failing}`
  return `running on ${workers} ${workers === 1 ? 'process' : 'processes'}`
}

async function read(context: Context, name: string, server: Server | null): Promise<Shown> {
  if (server !== null) {
    const { pipeline, activity } = await server.ask('GET', `/v1/pipelines/${encodeURIComponent(name)}`, undefined, pipelineAnswer)
    const { lag } = activity
    return { status: pipeline, activity, lag, problem: lag === null ? 'no process has counted the messages in the last 30 s' : null }
  }
  const [db, catalog] = [await context.database(), await context.catalog()]
  const status = await pipelineStatus(db, catalog, name)
  const activity = await activityOf(db, status.name, Date.now() * 1000)
  const found = await pipelineLag(db, context.config, catalog, status.name)
  return { status, activity, ...(typeof found === 'string' ? { lag: null, problem: found } : { lag: found, problem: null }) }
}
