import type { Redis } from 'ioredis'
import { cutRedis, watchRedis } from '../runtime/redis/redis.ts'
import { coalesced } from './coalesce.ts'
import { compareAndSet } from './compare-and-set.ts'
import type { RedisCommands } from './redis-commands.ts'
import { keysPerRead, readInGroups } from './read-in-groups.ts'
import { createRedisReader } from './redis-reader.ts'
import { nodeOfCluster, redisError } from './redis-error.ts'
import type { ServerState } from './store.ts'
import { allSettled, chunksOf, keysPerTurn, quitGracefully, readGroups, scanKeys, scriptAnswer, scriptArguments } from './redis-commands.ts'

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
      return await readInGroups(keys, reader.read)
    } catch (cause) {
      throw redisError(cause, connection)
    }
  }, keysPerTurn)

  return {
    connection,
    read,

    readSurely: async (keys) => (await readGroups(redis, groupsOf(keys), noSecondTry)).flat(),

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

    async ping(keyOf) {
      // a Redis that cannot save to its disk refuses PING, and still answers reads
      await redis.get(keyOf(0))
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

function groupsOf(keys: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(keys.length / keysPerRead) }, (_, i) => keys.slice(i * keysPerRead, (i + 1) * keysPerRead))
}

async function noSecondTry(_: string, error: Error | null): Promise<never> {
  throw error ?? new Error('It did not answer')
}
