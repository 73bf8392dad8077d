import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { GroupStart } from './group-start.ts'
import type { StreamServers } from './open-consumer.ts'
import { requireServerUrl } from './open-consumer.ts'

/**
 * Makes a new consumer group that begins somewhere in the stream. Nobody may read by it yet; an existing group starts
 * again.
 *
 * @throws LockstepError `INVALID_REQUEST` for a position that is none of this kind of stream; `STREAM_UNAVAILABLE`
 */
export async function beginGroup(config: StreamServers, spec: StreamSpec, start: GroupStart): Promise<void> {
  switch (spec.kind) {
    case 'redis':
      return await (
        await import('./redis-group.ts')
      ).beginRedisGroup(requireServerUrl(config.streamRedisUrl, 'LOCKSTEP_STREAM_REDIS_URL', spec), spec, start)
    case 'nats':
      return await (
        await import('./nats-group.ts')
      ).beginNatsGroup(requireServerUrl(config.natsUrl, 'LOCKSTEP_NATS_URL', spec), spec, start)
    case 'kafka':
      return await (
        await import('./kafka-group.ts')
      ).beginKafkaGroup(requireServerUrl(config.kafkaUrl, 'LOCKSTEP_KAFKA_URL', spec), spec, start)
    default:
      return spec satisfies never
  }
}
