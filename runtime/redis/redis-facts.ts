import { Cluster } from 'ioredis'
import type { Redis } from 'ioredis'
import { cannotSave } from './cannot-save.ts'
import { openAnyRedis, watchAnyRedis } from './redis-any.ts'
import { addressOf } from './redis-url.ts'
import type { RedisConnection } from './redis.ts'

/** How one Redis server is set up. */
export interface RedisFacts {
  /** `127.0.0.1:6379` */
  readonly server: string
  /** `Redis` or `Valkey`. */
  readonly product: string
  readonly version: string
  /** Whether it is a node of a cluster. */
  readonly cluster: boolean
  readonly replica: boolean
  /** null: the server does not report it. */
  readonly maxmemoryPolicy: string | null
  readonly usedBytes: number
  /** How much it may use; 0: no limit, or the server does not report it. */
  readonly maxBytes: number
  /** Whether it writes an append-only file, or snapshots. null: the server does not report it. */
  readonly persistent: boolean | null
  /** Whether it refuses writes because it cannot save to its disk. */
  readonly cannotSave: boolean
  /** Its clock minus the clock of this process, milliseconds. The error is at most half of the round trip. */
  readonly skewMs: number
}

/**
 * Asks the server of a URL, or all primaries of a cluster, how they are set up.
 *
 * @param explain makes the error for a server that cannot be used
 * @throws Error that `explain` makes
 */
export async function readRedisFacts(url: string, explain: (cause: unknown, connection: RedisConnection) => Error): Promise<RedisFacts[]> {
  const redis = openAnyRedis(url)
  const connection = watchAnyRedis(redis)
  try {
    if (!(redis instanceof Cluster)) return [await factsOf(redis)]
    await redis.echo('')
    return await Promise.all(redis.nodes('master').map(factsOf))
  } catch (error) {
    throw explain(error, connection)
  } finally {
    redis.disconnect()
  }
}

async function factsOf(redis: Redis): Promise<RedisFacts> {
  const info = fieldsOf(await redis.info())
  const before = Date.now()
  const [seconds, micros] = await redis.time()
  const after = Date.now()
  // a hosted Redis may forbid CONFIG
  const save = await redis.config('GET', 'save').then(secondOf, () => null)
  const persistent = info['aof_enabled'] === '1' ? true : save === null ? null : save !== ''
  return {
    server: addressOf(redis.options),
    product: info['server_name'] === 'valkey' || info['valkey_version'] !== undefined ? 'Valkey' : 'Redis',
    version: info['valkey_version'] ?? info['redis_version'] ?? 'of an unknown version',
    cluster: info['cluster_enabled'] === '1',
    replica: info['role'] === 'slave',
    maxmemoryPolicy: info['maxmemory_policy'] ?? null,
    usedBytes: Number(info['used_memory'] ?? 0),
    maxBytes: Number(info['maxmemory'] ?? 0),
    persistent,
    cannotSave: await cannotSave(redis),
    skewMs: Number(seconds) * 1000 + Number(micros) / 1000 - (before + after) / 2,
  }
}

function fieldsOf(info: string): Readonly<Record<string, string>> {
  return Object.fromEntries([...info.matchAll(/^([a-z0-9_]+):(.*?)\r?$/gm)].map(([, name, value]) => [name, value]))
}

function secondOf(answer: unknown): string | null {
  const value: unknown = Array.isArray(answer) ? answer[1] : null
  return typeof value === 'string' ? value : null
}
