import type { Redis } from 'ioredis'
import { withPatience } from '../runtime/async.ts'
import type { ServerMemory } from './store.ts'

/** From this share of its maxmemory on, a Redis must get more memory. */
const fullShare = 0.9

/** How long a server may take to say how full it is. */
const answerMs = 2_000

/** @throws as the client, also where the server forbids INFO */
export async function readMemory(redis: Redis): Promise<ServerMemory> {
  const info = await withPatience(redis.info('memory'), answerMs, () => new Error(`it did not answer within ${answerMs / 1000} s`))
  const { host, port, path } = redis.options
  const numberOf = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
  const evicts = !/^maxmemory_policy:noeviction/m.test(info)
  return { server: path ?? `${host}:${port}`, usedBytes: numberOf('used_memory'), maxBytes: numberOf('maxmemory'), evicts }
}

export function isAlmostFull({ usedBytes, maxBytes }: Pick<ServerMemory, 'usedBytes' | 'maxBytes'>): boolean {
  return maxBytes > 0 && usedBytes >= maxBytes * fullShare
}
