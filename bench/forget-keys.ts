import { openRedis } from '../runtime/redis/redis.ts'

/** Removes every key under a prefix. */
export async function forgetKeys(url: string, prefix: string): Promise<void> {
  const redis = openRedis(url)
  let cursor = '0'
  do {
    const [next, keys] = await redis.scanBuffer(cursor, 'MATCH', `${prefix}*`, 'COUNT', 10_000)
    if (keys.length > 0) await redis.unlink(...keys)
    cursor = next.toString()
  } while (cursor !== '0')
  await redis.quit()
}
