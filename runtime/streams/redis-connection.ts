import { withoutStop } from '../../kernel/errors.ts'
import { cutAnyRedis, openAnyRedis, watchAnyRedis } from '../redis/redis-any.ts'
import type { RedisConnection } from '../redis/redis.ts'

/** A stream is one key, so that in a cluster one node has it. */
export function connectToStreams(url: string) {
  const redis = openAnyRedis(url)
  return { redis, connection: watchAnyRedis(redis), cut: () => cutAnyRedis(redis) }
}

/** Why a command failed: what the server answered, or what is wrong with the way to it. */
export function failureText(connection: Pick<RedisConnection, 'trouble'>, cause: unknown): string {
  return withoutStop(isAnswer(cause) ? cause : (connection.trouble() ?? cause))
}

function isAnswer(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}
