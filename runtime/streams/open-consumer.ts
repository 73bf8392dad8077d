import { LockstepError } from '../../kernel/errors.ts'
import type { Config } from '../config.ts'
import type { StreamConsumer, StreamConsumerOptions } from './stream-consumer.ts'
import { openRedisConsumer } from './redis-consumer.ts'
import type { StreamSpec } from '../../kernel/stream-spec.ts'
import { streamName } from '../../kernel/stream-spec.ts'

/** Where the servers of streams are, of each kind. */
export type StreamServers = Pick<Config, 'streamRedisUrl' | 'natsUrl' | 'kafkaUrl'>

/** @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the server is */
export function openConsumer(config: StreamServers, spec: StreamSpec, options: StreamConsumerOptions): StreamConsumer {
  switch (spec.kind) {
    case 'redis':
      return openRedisConsumer(given(config.streamRedisUrl, 'LOCKSTEP_STREAM_REDIS_URL', spec), spec, options)
    case 'nats': {
      const url = given(config.natsUrl, 'LOCKSTEP_NATS_URL', spec)
      return openLater(async () => (await import('./nats-consumer.ts')).openNatsConsumer(url, spec, options))
    }
    case 'kafka': {
      const url = given(config.kafkaUrl, 'LOCKSTEP_KAFKA_URL', spec)
      checkNode(spec)
      return openLater(async () => (await import('./kafka-consumer.ts')).openKafkaConsumer(url, spec, options))
    }
    default:
      return spec satisfies never
  }
}

type StreamPlace = Pick<StreamSpec, 'kind' | 'stream'>

/** A consumer whose client is loaded when it is first used: few processes read streams of NATS or Kafka. */
function openLater(open: () => Promise<StreamConsumer>): StreamConsumer {
  let opening: Promise<StreamConsumer> | null = null
  const opened = (): Promise<StreamConsumer> => (opening ??= open())
  return {
    take: async (limit) => await (await opened()).take(limit),
    acknowledge: async (messages) => await (await opened()).acknowledge(messages),
    lag: async () => await (await opened()).lag(),
    close: async () => await (await opening)?.close(),
  }
}

/** Where a server is. */
export function given(url: string | null, variable: string, spec: StreamPlace): string {
  if (url !== null) return url
  throw new LockstepError('CONFIG_INVALID', `The server of the ${streamName(spec)} is not configured; set "${variable}".`)
}

/** The client of Kafka needs a newer Node than Lockstep does. */
export function checkNode(spec: StreamPlace): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (!(major === 22 && minor < 22) && !(major === 24 && minor < 6)) return
  throw new LockstepError(
    'CONFIG_INVALID',
    `The ${streamName(spec)} needs Node 22.22, or 24.6, or newer; this is Node ${process.versions.node}.`,
  )
}
