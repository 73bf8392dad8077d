import type { Redis } from 'ioredis'
import { withPatience } from '../runtime/async.ts'
import { cannotSave } from '../runtime/redis/cannot-save.ts'
import { addressOf } from '../runtime/redis/redis-url.ts'
import type { ServerMemory } from './store.ts'

/** From this share of its maxmemory on, a Redis must get more memory. */
const fullShare = 0.9

/** How long a server may take to say how full it is. */
const answerMs = 2_000

/** @throws as the client, also where the server forbids INFO */
export async function readMemory(redis: Redis): Promise<ServerMemory> {
  const memory = await infoOf(redis, 'memory', 'replication', 'cluster')
  // of volatile policies it deletes keys with a time to live alone, which states do not have
  const evictsStates = /^maxmemory_policy:allkeys-/m.test(memory)
  const evictedKeys = evictsStates ? numberOf(await infoOf(redis, 'stats'), 'evicted_keys') : 0
  return {
    server: addressOf(redis.options),
    usedBytes: numberOf(memory, 'used_memory'),
    maxBytes: numberOf(memory, 'maxmemory'),
    evictsStates,
    evictedKeys,
    // a cluster replaces its primaries without the settings
    isReplica: isReplica(memory) && !/^cluster_enabled:1/m.test(memory),
    cannotSave: await withPatience(cannotSave(redis), answerMs, silent),
  }
}

/** @param info the section "replication" of INFO */
export function isReplica(info: string): boolean {
  return /^role:slave/m.test(info)
}

async function infoOf(redis: Redis, ...sections: string[]): Promise<string> {
  return await withPatience(redis.info(...sections), answerMs, silent)
}

function silent(): Error {
  return new Error(`it did not answer within ${answerMs / 1000} s`)
}

function numberOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
}

export function isAlmostFull({ usedBytes, maxBytes }: Pick<ServerMemory, 'usedBytes' | 'maxBytes'>): boolean {
  return maxBytes > 0 && usedBytes >= maxBytes * fullShare
}
