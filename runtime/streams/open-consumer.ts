import { LockstepError } from '../../kernel/errors.ts'
import type { Config } from '../config.ts'
import { lazily } from './lazily.ts'
import type { StreamConsumer, StreamConsumerOptions } from './stream-consumer.ts'
import type { AvroDecoder } from './avro-consumer.ts'
import type { SchemaRegistry } from './schema-registry.ts'
import { openSchemaRegistry } from './schema-registry.ts'
import { openRedisConsumer } from './redis-consumer.ts'
import type { StreamGroup } from './stream-group.ts'
import type { KafkaStreamSpec, StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'

/** Where the servers of streams are, of each kind. */
export type StreamServers = Pick<Config, 'streamRedisUrl' | 'natsUrl' | 'kafkaUrl'> &
  Partial<Pick<Config, 'schemaRegistryUrl' | 'schemaRegistryToken' | 'bodyLimitBytes'>>

export const noStreamServers: StreamServers = { streamRedisUrl: null, natsUrl: null, kafkaUrl: null }

/** @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the server is */
export function openConsumer(config: StreamServers, spec: StreamSpec, options: StreamConsumerOptions): StreamConsumer {
  const url = serverUrl(config, spec)
  switch (spec.kind) {
    case 'redis':
      return openRedisConsumer(url, spec, options)
    case 'nats':
      return openLater(options, async () => (await import('./nats-consumer.ts')).openNatsConsumer(url, spec, options))
    case 'kafka':
      return openKafkaLater(config, spec, options, async () => (await import('./kafka-consumer.ts')).openKafkaConsumer(url, spec, options))
    default:
      return spec satisfies never
  }
}

/** @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the server is */
export async function groupOf(config: StreamServers, spec: StreamSpec): Promise<StreamGroup> {
  const url = serverUrl(config, spec)
  switch (spec.kind) {
    case 'redis':
      return (await import('./redis-group.ts')).redisGroup(url, spec)
    case 'nats':
      return (await import('./nats-group.ts')).natsGroup(url, spec)
    case 'kafka':
      return (await import('./kafka-group.ts')).kafkaGroup(url, spec)
    default:
      return spec satisfies never
  }
}

/**
 * A consumer of Kafka, of messages in the declared format.
 *
 * @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the registry is
 */
export function openKafkaLater(
  config: StreamServers,
  spec: KafkaStreamSpec,
  options: StreamConsumerOptions,
  open: () => Promise<StreamConsumer>,
): StreamConsumer {
  const decoder = spec.format === 'avro' ? avroDecoder(config, spec) : null
  return openLater(options, async () => {
    const consumer = await open()
    return decoder === null ? consumer : (await import('./avro-consumer.ts')).openAvroConsumer(consumer, decoder)
  })
}

/**
 * Decodes messages in Avro. The library is loaded with the first one.
 *
 * @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the registry is
 */
export function avroDecoder(config: StreamServers, spec: StreamPlace): AvroDecoder {
  const registry = streamRegistry(config, spec)
  const { bodyLimitBytes = Number.POSITIVE_INFINITY } = config
  const loaded = lazily(async () => (await import('./avro-consumer.ts')).createAvroDecoder(registry, bodyLimitBytes))
  return async (body) => {
    const decode = await loaded.open()
    return await decode(body)
  }
}

/** The schema registry of a stream. @throws LockstepError `CONFIG_INVALID` where the configuration has none */
export function streamRegistry(config: StreamServers, spec: StreamPlace): SchemaRegistry {
  const url = config.schemaRegistryUrl ?? null
  if (url !== null) return openSchemaRegistry(url, config.schemaRegistryToken ?? null)
  throw new LockstepError(
    'CONFIG_INVALID',
    `The schema registry of the ${streamName(spec)}, whose messages are Avro, is not configured; set "LOCKSTEP_SCHEMA_REGISTRY_URL".`,
  )
}

type StreamPlace = Pick<StreamSpec, 'kind' | 'stream'>

/** A consumer whose client is loaded when it is first used: few processes read streams of NATS or Kafka. */
function openLater({ redeliverMs }: StreamConsumerOptions, open: () => Promise<StreamConsumer>): StreamConsumer {
  const consumer = lazily(open)
  return {
    redeliverMs,
    take: async (limit) => await (await consumer.open()).take(limit),
    hasShare: async () => (await (await consumer.open()).hasShare?.()) ?? true,
    acknowledge: async (messages) => await (await consumer.open()).acknowledge(messages),
    extend: async (messages) => await (await consumer.open()).extend(messages),
    lag: async () => await (await consumer.open()).lag(),
    close: async () => await (await consumer.opened())?.close(),
  }
}

const urlSettings = {
  redis: ['streamRedisUrl', 'LOCKSTEP_STREAM_REDIS_URL'],
  nats: ['natsUrl', 'LOCKSTEP_NATS_URL'],
  kafka: ['kafkaUrl', 'LOCKSTEP_KAFKA_URL'],
} as const

/** Where the server of a stream is. @throws LockstepError `CONFIG_INVALID` where the configuration does not say it */
export function serverUrl(config: StreamServers, spec: StreamPlace): string {
  const [setting, variable] = urlSettings[spec.kind]
  const url = config[setting]
  if (url !== null) return url
  throw new LockstepError('CONFIG_INVALID', `The server of the ${streamName(spec)} is not configured; set "${variable}".`)
}
