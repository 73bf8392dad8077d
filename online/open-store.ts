import { join } from 'node:path'
import { openAnyRedis } from '../runtime/redis/redis-any.ts'
import type { Config } from '../runtime/config.ts'
import { createRedisStore } from './redis-store.ts'
import type { OnlineStore } from './store.ts'

/**
 * Opens the configured online store: Redis, of any kind, if `redisUrl` is set, else the embedded one in the folder
 * `online` of `config.directory`. An unavailable Redis does not fail here, but when it is used (`ping` within 5 s), so
 * that a server can start without it.
 */
export async function openOnlineStore(
  config: Pick<Config, 'redisUrl' | 'redisPrefix' | 'directory'> & Partial<Pick<Config, 'redisReads'>>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<OnlineStore> {
  if (config.redisUrl !== null) {
    const redis = openAnyRedis(config.redisUrl, options)
    return createRedisStore({ redis, prefix: config.redisPrefix, reads: config.redisReads ?? 'primary' })
  }
  const { openEmbeddedStore } = await import('./embedded-store.ts')
  return openEmbeddedStore(join(config.directory, 'online'))
}
