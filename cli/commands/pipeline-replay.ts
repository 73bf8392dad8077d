import { LockstepError } from '../../kernel/errors.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { pipelineReplayAnswer } from '../../serving/protocols/http/streaming/pipeline-schemas.ts'
import { replayPipeline } from '../../serving/streaming/pipeline-state.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import type { Command, Outcome } from '../command.ts'

export const pipelineReplayCommand: Command = {
  name: 'pipeline replay',
  summary: 'Let a pipeline read its stream again, from a time or a position',
  description: [
    'The present model and features predict the messages again, and the answers are written again with the same ids. Each event still counts once. Workers begin within seconds; a paused pipeline begins when you resume it.',
  ],
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  options: {
    from: { value: 'TIME', help: 'Begin with the first message that arrived at this time or later.' },
    position: {
      value: 'POSITION',
      help: 'Begin with this message: the id of an entry of Redis, a sequence of JetStream, or offsets of Kafka by partition, as in 0:1234,1:99.',
    },
    reason: reasonOption,
    server: serverOption,
  },
  example: 'lockstep pipeline replay score_flights --from 2026-03-01T12:00:00Z',
  async run(context, input) {
    const [from, position] = [input.text('from'), input.text('position')]
    if ((from === undefined) === (position === undefined)) throw new LockstepError('USAGE', 'Give either "--from" or "--position".')
    const start = position === undefined ? { atMicros: parseTimestamp(from ?? '') } : { position }
    const [name, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
    if (server !== null) {
      const path = `/v1/pipelines/${encodeURIComponent(name)}/replay`
      const { requestId: _, ...begun } = await server.ask('POST', path, { from, position, reason: by.reason }, pipelineReplayAnswer)
      return replayed(begun)
    }
    const [db, catalog] = [await context.database(), await context.catalog()]
    const { spec } = catalog.pipeline(name)
    const replays = await replayPipeline(db, context.config, catalog, spec, start, by)
    return replayed({ pipeline: spec.name, from: from ?? position ?? '', replays })
  },
}

function replayed(begun: { readonly pipeline: string; readonly from: string; readonly replays: number }): Outcome {
  const { pipeline, from } = begun
  return {
    json: begun,
    text: `The pipeline "${pipeline}" begins again from ${from}. "lockstep pipeline show ${pipeline}" shows how many messages wait.`,
  }
}
