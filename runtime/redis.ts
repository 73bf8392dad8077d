import { Redis } from 'ioredis'

const CONNECT_TIMEOUT_MS = 2_000
const COMMAND_TIMEOUT_MS = 4_500
const MAX_RECONNECT_DELAY_MS = 1_000

/**
 * Connects to Redis 7.2+ or Valkey, in the background and again whenever the connection is lost, so that a server can start while its Redis is away.
 * A command fails within 5 s where there is no connection or no answer; the online store says `REDIS_UNAVAILABLE` then.
 *
 * @param url as `redis://:password@host:6379`, or `rediss:` for TLS
 */
export function openRedis(url: string): Redis {
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    maxRetriesPerRequest: 1,
    retryStrategy: (attempt) => Math.min(attempt * 50, MAX_RECONNECT_DELAY_MS),
  })
  // every command reports the lost connection to its caller; without a listener the client would print it, too
  redis.on('error', () => undefined)
  return redis
}
