import { messageOf } from '../../kernel/errors.ts'
import { cutCluster, openRedisCluster, watchCluster } from '../redis-cluster.ts'
import { parseRedisUrl } from '../redis-url.ts'
import type { RedisConnection } from '../redis.ts'
import { cutRedis, openRedis, watchRedis } from '../redis.ts'

/** A stream is one key, so that in a cluster one node has it. */
export function connectToStreams(url: string) {
  const address = parseRedisUrl(url)
  if (address?.cluster === true) {
    const redis = openRedisCluster(address)
    return { redis, connection: watchCluster(redis), cut: () => cutCluster(redis) }
  }
  const redis = openRedis(url)
  return { redis, connection: watchRedis(redis), cut: () => cutRedis(redis) }
}

/** Why a command failed: what the server answered, or what is wrong with the way to it. */
export function failureText(connection: Pick<RedisConnection, 'trouble'>, cause: unknown): string {
  return messageOf(isAnswer(cause) ? cause : (connection.trouble() ?? cause)).replace(/\.$/, '')
}

function isAnswer(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}
