import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaSinkSpec, SinkSpec } from '../../kernel/specs/sink-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import type { StreamServers } from './open-consumer.ts'
import type { AnswerShape } from './avro-answer.ts'
import type { AvroEncoder } from './avro-encoder.ts'
import type { StreamConsumer } from './stream-consumer.ts'
import { openConsumer, openKafkaLater, serverUrl, streamRegistry } from './open-consumer.ts'
import { lazily } from './lazily.ts'
import { openRedisSink } from './redis-sink.ts'
import type { StreamSink } from './stream-sink.ts'

export interface SinkOptions {
  /** The stream that the messages answer; null: none. */
  readonly from: StreamSpec | null
  /** After how long a message of that stream comes again. */
  readonly redeliverMs: number
  /** The fields of the messages, for a sink in Avro. */
  readonly answer?: AnswerShape
}

/** @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the server is */
export function openSink(config: StreamServers, spec: SinkSpec, { from, redeliverMs, answer }: SinkOptions): StreamSink {
  const url = serverUrl(config, spec)
  switch (spec.kind) {
    case 'redis':
      return openRedisSink(url, spec, from?.kind === 'redis' ? from : null)
    case 'nats':
      return openLater(async () => (await import('./nats-sink.ts')).openNatsSink(url, spec, redeliverMs))
    case 'kafka': {
      const encoder = encoderLater(config, spec, answer)
      return openLater(async () => (await import('./kafka-sink.ts')).openKafkaSink(url, spec, await encoder()))
    }
    default:
      return spec satisfies never
  }
}

/** Opens what encodes the messages of a topic; null: they are JSON. */
function encoderLater(config: StreamServers, spec: KafkaSinkSpec, answer: AnswerShape | undefined): () => Promise<AvroEncoder | null> {
  const registry = spec.format === 'avro' ? streamRegistry(config, spec) : null
  return async () => {
    if (registry === null || answer === undefined) return null
    return (await import('./avro-encoder.ts')).createAvroEncoder(registry, `${spec.stream}-value`, answer)
  }
}

/**
 * A consumer, and a sink for the answers to what it takes. If the sink writes in transactions, it acknowledges the
 * messages, too.
 *
 * @throws LockstepError `CONFIG_INVALID` where the configuration does not say where a server is
 */
export function openEnds(
  config: StreamServers,
  to: SinkSpec,
  { from, ...more }: SinkOptions & { readonly from: StreamSpec },
): { readonly consumer: StreamConsumer; readonly sink: StreamSink } {
  const options = { redeliverMs: more.redeliverMs }
  if (to.kind !== 'kafka' || to.transactions !== true) {
    const consumer = openConsumer(config, from, options)
    try {
      return { consumer, sink: openSink(config, to, { from, ...more }) }
    } catch (error) {
      // a Redis consumer connects when it is created
      void consumer.close().catch(() => undefined)
      throw error
    }
  }
  if (from.kind !== 'kafka')
    throw new LockstepError(
      'CONFIG_INVALID',
      `The ${streamName(to)} is written in transactions, which must read from a Kafka topic, too; the messages come from the ${streamName(from)}. Remove "transactions" from the sink.`,
    )
  const url = serverUrl(config, to)
  const encoder = encoderLater(config, to, more.answer)
  const both = lazily(async () => (await import('./kafka-transactions.ts')).openKafkaTransactions(url, from, to, await encoder(), options))
  return {
    sink: openLater(async () => (await both.open()).sink),
    consumer: openKafkaLater(config, from, options, async () => (await both.open()).consumer),
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
