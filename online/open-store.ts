import { join } from 'node:path'
import type { Config } from '../runtime/config.ts'
import { openRedis } from '../runtime/redis.ts'
import { createRedisStore } from './redis-store.ts'
import type { OnlineStore } from './store.ts'

/**
 * Opens the online store that is configured: Redis where `redisUrl` is set, else the embedded one, in the folder `online` of `config.directory`. A Redis
 * that is away does not fail here but when it is asked (`ping` within 5 s), so that a server can start without it.
 */
export async function openOnlineStore(
  config: Pick<Config, 'redisUrl' | 'redisPrefix' | 'directory'>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<OnlineStore> {
  if (config.redisUrl !== null) return createRedisStore({ redis: openRedis(config.redisUrl, options), prefix: config.redisPrefix })
  const { openEmbeddedStore } = await import('./embedded-store.ts')
  return openEmbeddedStore(join(config.directory, 'online'))
}
