import type { Redis } from 'ioredis'
import { cutRedis, watchRedis } from '../runtime/redis.ts'
import { coalesced } from './coalesce.ts'
import { compareAndSet } from './compare-and-set.ts'
import type { RedisCommands } from './redis-commands.ts'
import { createRedisReader } from './redis-reader.ts'
import { nodeOfCluster, redisError } from './redis-error.ts'
import type { ServerState } from './store.ts'
import { allSettled, chunksOf, gotAll, keysPerTurn, quitGracefully, scanKeys, scriptAnswer, scriptArguments } from './redis-commands.ts'

/** Keys of one MGET: large enough to amortize the round trip, small enough not to hold Redis up. */
const keysPerRead = 1_000

/** Up to this many keys are read again key by key: that takes no more commands than MGET and EXISTS. */
const fewKeys = 2

/** It is one. */
const noServers: readonly ServerState[] = []

/**
 * One Redis or Valkey. The reads of one turn of the event loop are one MGET; many keys are read in groups over several
 * turns, and a large read is sent at once (`keysPerTurn`).
 */
export function singleRedis(redis: Redis): RedisCommands {
  const connection = watchRedis(redis)
  const reader = createRedisReader(redis)
  let known = false
  const read = coalesced(async (keys: readonly string[]) => {
    try {
      if (keys.length <= keysPerRead) return await reader.read(keys)
      return await inGroups(keys, (group) => reader.read(group))
    } catch (cause) {
      throw redisError(cause, connection)
    }
  }, keysPerTurn)

  return {
    connection,
    read,

    readSurely: (keys) => inGroups(keys, (group) => readGroup(redis, group)),

    async compareAndSet(entries) {
      const calls = chunksOf(entries).map(async (chunk) =>
        scriptAnswer(await redis.eval(compareAndSet, chunk.length, ...scriptArguments(chunk)), chunk),
      )
      return (await allSettled(calls)).flat()
    },

    get: (key) => redis.get(key),
    async setIfAbsent(key, value) {
      await redis.set(key, value, 'NX')
    },
    keys: (wanted) => scanKeys(redis, wanted),
    primaries: async () => [redis],
    unlink: (_node, keys) => redis.unlink(...keys),

    async ping() {
      await redis.ping()
      if (known) return noServers
      // without permission for INFO, the first key on another node shows it
      const info = await redis.info('cluster').catch(() => '')
      known = true
      if (/^cluster_enabled:1/m.test(info)) throw nodeOfCluster(connection.server)
      return noServers
    },

    async close() {
      if (redis.status === 'end') return
      // an unavailable Redis cannot answer; QUIT waits for the pending answers
      if (redis.status === 'ready') await quitGracefully(reader.close().then(() => redis.quit()))
      cutRedis(redis)
    },
  }
}

/** Reads keys in groups of `keysPerRead`, all at once. */
async function inGroups(
  keys: readonly string[],
  read: (group: readonly string[]) => Promise<(Buffer | null)[]>,
): Promise<(Buffer | null)[]> {
  const groups: Promise<(Buffer | null)[]>[] = []
  for (let i = 0; i < keys.length; i += keysPerRead) groups.push(read(keys.slice(i, i + keysPerRead)))
  return (await Promise.all(groups)).flat()
}

/**
 * Reads keys by one MGET, which answers null for a key that is not a string. If more keys exist than have values, it
 * reads key by key, and that fails with WRONGTYPE. Many new entities would take a command each.
 */
async function readGroup(redis: Redis, keys: readonly string[]): Promise<(Buffer | null)[]> {
  if (keys.length > fewKeys) {
    const [values, existing] = await Promise.all([redis.mgetBuffer(...keys), redis.exists(...keys)])
    if (values.filter((value) => value !== null).length === existing) return values
  }
  const pipeline = redis.pipeline()
  for (const key of keys) pipeline.getBuffer(key)
  return await gotAll(await pipeline.exec(), keys, async (_, error) => {
    throw error ?? new Error('It did not answer')
  })
}
