import { LockstepError } from '../../kernel/errors.ts'
import { parseTimestamp } from '../../kernel/time.ts'
import { replayPipeline } from '../../serving/streaming/pipeline-state.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'

export const pipelineReplayCommand: Command = {
  name: 'pipeline replay',
  summary: 'Let a pipeline read its stream again, from a time or a position',
  description: [
    'The messages are predicted by the present model and features, and their answers written again, under the ids that they had. Events count once, as before. Workers follow within seconds; a paused pipeline begins when it is resumed.',
  ],
  arguments: [{ name: 'NAME', help: 'The pipeline.' }],
  options: {
    from: { value: 'TIME', help: 'Begin with the first message that arrived at this time or later.' },
    position: {
      value: 'POSITION',
      help: 'Begin with this message: the id of an entry of Redis, a sequence of JetStream, or offsets of Kafka by partition, as in 0:1234,1:99.',
    },
    reason: reasonOption,
  },
  example: 'lockstep pipeline replay score_flights --from 2026-03-01T12:00:00Z',
  async run(context, input) {
    const [from, position] = [input.text('from'), input.text('position')]
    if ((from === undefined) === (position === undefined)) throw new LockstepError('USAGE', 'Give either "--from" or "--position".')
    const start = position === undefined ? { atMicros: parseTimestamp(from ?? '') } : { position }
    const [db, catalog] = [await context.database(), await context.catalog()]
    const { spec } = catalog.pipeline(input.argument('NAME'))
    const replays = await replayPipeline(db, context.config, catalog, spec, start, actorOf(input))
    return {
      json: { pipeline: spec.name, from: from ?? position, replays },
      text: `The pipeline "${spec.name}" begins again from ${from ?? position}. "lockstep pipeline show ${spec.name}" shows how many messages wait.`,
    }
  },
}
