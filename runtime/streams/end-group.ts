import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { StreamServers } from './open-consumer.ts'
import { requireServerUrl } from './open-consumer.ts'

/**
 * Deletes a consumer group that nobody reads by.
 *
 * @throws LockstepError `STREAM_UNAVAILABLE`
 */
export async function endGroup(config: StreamServers, spec: StreamSpec): Promise<void> {
  switch (spec.kind) {
    case 'redis':
      return await (
        await import('./redis-group.ts')
      ).endRedisGroup(requireServerUrl(config.streamRedisUrl, 'LOCKSTEP_STREAM_REDIS_URL', spec), spec)
    case 'nats':
      return await (await import('./nats-group.ts')).endNatsGroup(requireServerUrl(config.natsUrl, 'LOCKSTEP_NATS_URL', spec), spec)
    case 'kafka':
      return await (await import('./kafka-group.ts')).endKafkaGroup(requireServerUrl(config.kafkaUrl, 'LOCKSTEP_KAFKA_URL', spec), spec)
    default:
      return spec satisfies never
  }
}
