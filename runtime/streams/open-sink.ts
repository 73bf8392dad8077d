import type { SinkSpec } from '../../kernel/sink-spec.ts'
import type { StreamSpec } from '../../kernel/stream-spec.ts'
import type { StreamServers } from './open-consumer.ts'
import type { AnswerShape } from './avro-answer.ts'
import { checkNode, given, registryOf } from './open-consumer.ts'
import { lazily } from './lazily.ts'
import { openRedisSink } from './redis-sink.ts'
import type { StreamSink } from './stream-sink.ts'

export interface SinkOptions {
  /** The stream that the messages answer; null: none. */
  readonly from: StreamSpec | null
  /** After how long a message of that stream comes again. */
  readonly redeliverMs: number
  /** What the messages hold, for a sink in Avro. */
  readonly answer?: AnswerShape
}

/** @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the server is */
export function openSink(config: StreamServers, spec: SinkSpec, { from, redeliverMs, answer }: SinkOptions): StreamSink {
  switch (spec.kind) {
    case 'redis':
      return openRedisSink(given(config.streamRedisUrl, 'LOCKSTEP_STREAM_REDIS_URL', spec), spec, from?.kind === 'redis' ? from : null)
    case 'nats': {
      const url = given(config.natsUrl, 'LOCKSTEP_NATS_URL', spec)
      return openLater(async () => (await import('./nats-sink.ts')).openNatsSink(url, spec, redeliverMs))
    }
    case 'kafka': {
      const url = given(config.kafkaUrl, 'LOCKSTEP_KAFKA_URL', spec)
      checkNode(spec)
      const registry = spec.format === 'avro' ? registryOf(config, spec) : null
      return openLater(async () => {
        const encoder =
          registry === null || answer === undefined
            ? null
            : (await import('./avro-encoder.ts')).createAvroEncoder(registry, `${spec.stream}-value`, answer)
        return (await import('./kafka-sink.ts')).openKafkaSink(url, spec, encoder)
      })
    }
    default:
      return spec satisfies never
  }
}

/** A sink whose client is loaded when it is first used. */
function openLater(open: () => Promise<StreamSink>): StreamSink {
  const sink = lazily(open)
  return {
    check: async () => await (await sink.open()).check(),
    produce: async (messages) => await (await sink.open()).produce(messages),
    close: async () => await (await sink.opened())?.close(),
  }
}
