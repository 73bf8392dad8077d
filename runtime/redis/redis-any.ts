import { Cluster } from 'ioredis'
import type { Redis } from 'ioredis'
import type { RedisConnection } from './redis.ts'
import { cutRedis, openRedis, watchRedis } from './redis.ts'
import { cutCluster, openRedisCluster, watchCluster } from './redis-cluster.ts'
import { openRedisSentinel } from './redis-sentinel.ts'
import { parseRedisUrl } from './redis-url.ts'

/**
 * Connects to the Redis of a URL, whatever its kind is, as `openRedis` does to a single one.
 *
 * @throws LockstepError `CONFIG_INVALID` where a file of its certificates cannot be used
 */
export function openAnyRedis(url: string, options: { readonly signal?: AbortSignal | undefined } = {}): Redis | Cluster {
  const address = parseRedisUrl(url)
  if (address?.kind === 'cluster') return openRedisCluster(address, options)
  const sentinel = address?.sentinel ?? null
  return address === null || sentinel === null ? openRedis(url, options) : openRedisSentinel({ ...address, sentinel }, options)
}

export function watchAnyRedis(redis: Redis | Cluster): RedisConnection {
  return redis instanceof Cluster ? watchCluster(redis) : watchRedis(redis)
}

/** Closes all connections for good, without waiting for the servers. */
export function cutAnyRedis(redis: Redis | Cluster): void {
  if (redis instanceof Cluster) cutCluster(redis)
  else cutRedis(redis)
}
