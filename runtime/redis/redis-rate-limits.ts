import type { Cluster, Redis } from 'ioredis'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { cutAnyRedis, openAnyRedis } from './redis-any.ts'
import { withTimeout } from '../async.ts'

/** The result of taking units from a shared limit. */
export interface RateTaken {
  /** How many units of those that were asked for there are. */
  readonly granted: number
  /** How many there are besides. */
  readonly remaining: number
  /** Milliseconds until the requested units are available; 0 if they were granted. */
  readonly retryMs: number
  /** Milliseconds until all of them are there again. */
  readonly resetMs: number
}

export interface RateWanted {
  /** Units in a second; a second's worth, and one at least, may come at once. */
  readonly perSecond: number
  /**
   * As many of these as there are, and none where there are fewer than `least`; of more than a second's worth all,
   * where a second's worth is there.
   */
  readonly wanted: number
  readonly least: number
}

/** Rate limits in Redis, which all processes share. */
export interface RedisRateLimits {
  /**
   * @param limit whose it is, and what it counts: all limits of one `owner` share a slot of a cluster
   * @throws LockstepError `REDIS_UNAVAILABLE`, within `answerMs`
   */
  take(limit: { readonly owner: string; readonly name: string }, wanted: RateWanted): Promise<RateTaken>
  close(): void
}

/** How long a request waits for Redis. After that the server decides by its own counts. */
const answerMs = 100

/**
 * The generic cell rate algorithm by the clock of the Redis server: a key holds the moment at which all units of its
 * limit are there again, and expires then.
 *
 *     KEYS  the limits, of one slot
 *     ARGV  for each limit: units in a second, units wanted, units without which none are taken
 *     returns, for each limit: units granted, units besides, milliseconds until there is what was wanted,
 *             milliseconds until all are there
 */
const script = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local taken = {}
for i, key in ipairs(KEYS) do
  local rate, wanted, least = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local burst, unit = math.max(1, rate), 1000000 / rate
  local full = math.max(now, tonumber(redis.call('GET', key) or '0') or 0)
  local there = burst - (full - now) / unit + 0.000001
  local needed = math.min(least, burst)
  local granted, retry = 0, 0
  if there < needed then
    retry = math.ceil((needed - there) * unit / 1000)
  else
    granted = math.max(least, math.min(wanted, math.floor(there)))
    full = full + granted * unit
    redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
  end
  taken[i] = { granted, math.max(0, math.floor(there - granted)), retry, math.ceil((full - now) / 1000) }
end
return taken
`

/** Connects when it is first asked. Keys are `PREFIX:limit:{OWNER}:NAME`. */
export function createRedisRateLimits(url: string, prefix: string): RedisRateLimits {
  let redis: Redis | Cluster | null = null

  async function answer(keys: readonly string[], values: readonly number[]): Promise<unknown> {
    redis ??= openAnyRedis(url)
    const taken = redis.eval(script, keys.length, ...keys, ...values)
    return await withTimeout(taken, answerMs, () => new Error(`It did not answer within ${answerMs} ms.`))
  }

  return {
    async take({ owner, name }, { perSecond, wanted, least }) {
      let taken: unknown
      try {
        taken = await answer([`${prefix}:limit:{${owner}}:${name}`], [perSecond, wanted, least])
      } catch (cause) {
        throw new LockstepError('REDIS_UNAVAILABLE', `The rate limits in Redis cannot be read: ${messageOf(cause)}`, { cause })
      }
      const [granted, remaining, retryMs, resetMs] = Array.isArray(taken) && Array.isArray(taken[0]) ? taken[0].map(Number) : []
      return { granted: granted ?? 0, remaining: remaining ?? 0, retryMs: retryMs ?? 0, resetMs: resetMs ?? 0 }
    },
    close() {
      if (redis !== null) cutAnyRedis(redis)
    },
  }
}
