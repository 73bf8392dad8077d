import { LockstepError } from '../../kernel/errors.ts'
import type { Config } from '../config.ts'
import type { StreamConsumer, StreamConsumerOptions } from './stream-consumer.ts'
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
    case 'nats': {
      const url = given(config.natsUrl, 'LOCKSTEP_NATS_URL', spec)
      return openLater(async () => (await import('./nats-consumer.ts')).openNatsConsumer(url, spec, options))
    }
    default:
      return spec satisfies never
  }
}

/** A consumer whose client is loaded when it is first used: few processes read streams of NATS. */
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

function given(url: string | null, variable: string, spec: StreamSpec): string {
  if (url !== null) return url
  throw new LockstepError('CONFIG_INVALID', `The server of the ${streamName(spec)} is not configured; set "${variable}".`)
}
