import { LockstepError } from '../../kernel/errors.ts'
import type { Config } from '../config.ts'
import type { StreamConsumer, StreamConsumerOptions } from './stream-consumer.ts'
import { openNatsConsumer } from './nats-consumer.ts'
import { openRedisConsumer } from './redis-consumer.ts'
import type { StreamSpec } from '../../kernel/stream-spec.ts'
import { streamName } from '../../kernel/stream-spec.ts'

/** @throws LockstepError `CONFIG_INVALID` where the configuration does not say where the server is */
export function openConsumer(
  config: Pick<Config, 'streamRedisUrl' | 'natsUrl'>,
  spec: StreamSpec,
  options: StreamConsumerOptions,
): StreamConsumer {
  switch (spec.kind) {
    case 'redis':
      return openRedisConsumer(given(config.streamRedisUrl, 'LOCKSTEP_STREAM_REDIS_URL', spec), spec, options)
    case 'nats':
      return openNatsConsumer(given(config.natsUrl, 'LOCKSTEP_NATS_URL', spec), spec, options)
    default:
      return spec satisfies never
  }
}

function given(url: string | null, variable: string, spec: StreamSpec): string {
  if (url !== null) return url
  throw new LockstepError('CONFIG_INVALID', `The server of the ${streamName(spec)} is not configured; set "${variable}".`)
}
