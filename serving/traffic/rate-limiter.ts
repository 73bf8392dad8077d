import { LockstepError } from '../../kernel/errors.ts'
import type { RateTaken, RateWanted, RedisRateLimits } from '../../runtime/redis/redis-rate-limits.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Gcra } from './gcra.ts'
import { takeUnits } from './gcra.ts'

/** The unit of a limit. */
export type LimitUnit = 'requests' | 'rows'

/**
 * While the Redis in which processes share their limits is down: each process counts on its own, there are no limits,
 * or every request is refused.
 */
export type LimitFallback = 'local' | 'open' | 'closed'

export interface LimitKey {
  /** The id of the API key. */
  readonly owner: string
  /** The scope of the operation: each scope has its own limit. */
  readonly scope: string
  readonly unit: LimitUnit
  readonly perSecond: number
}

/** How a limit stands after a request. */
export interface LimitState {
  readonly unit: LimitUnit
  readonly perSecond: number
  readonly remaining: number
  /** Milliseconds until all of it is available again. */
  readonly resetMs: number
}

export interface RateLimiter {
  /**
   * Takes units. It fetches some ahead of need, up to 20 times a second in a busy process, so that few requests wait
   * for Redis.
   *
   * @throws LockstepError `RATE_LIMITED` with `details.retryAfterSeconds`; `REDIS_UNAVAILABLE` where Redis is down and
   *   the fallback is `closed`
   */
  take(key: LimitKey, units: number): LimitState | Promise<LimitState>
  close(): void
}

export interface RateLimiterDeps {
  /** null: there is one process. */
  readonly shared: RedisRateLimits | null
  readonly fallback: LimitFallback
  readonly log: Logger
  /** Milliseconds, monotonic. */
  readonly now: () => number
}

/** Units that were fetched and not used yet, of one limit. */
interface Lease {
  units: number
  /** Until when they may be used. */
  until: number
  /** The fetch in progress: how many units it is granted. */
  refill: Promise<number> | null
  /** Units of requests that wait for a fetch. */
  waiting: number
  /** Requests for `blockedFor` units or more are not sent to Redis before this moment. */
  blockedUntil: number
  blockedFor: number
  /** The remaining allowance in Redis, and the time at which all of it is available again. */
  remaining: number
  resetAt: number
  /** Used while Redis is down. */
  readonly local: Gcra
}

/** The part of a second's units that is fetched ahead. */
const aheadShare = 0.05
const leaseMs = 1000
/** How long Redis is not asked again after it failed. */
const downMs = 1000
const maxTries = 5
const maxLeases = 10_000

export function createRateLimiter({ shared, fallback, log, now }: RateLimiterDeps): RateLimiter {
  const leases = new Map<string, Lease>()
  let downUntil = Number.NEGATIVE_INFINITY
  let isDown = false

  function leaseOf({ owner, scope, unit, perSecond }: LimitKey): Lease {
    const name = `${owner} ${scope} ${unit} ${perSecond}`
    let lease = leases.get(name)
    if (lease === undefined) {
      if (leases.size >= maxLeases) leases.clear()
      lease = {
        units: 0,
        until: 0,
        refill: null,
        waiting: 0,
        blockedUntil: 0,
        blockedFor: 0,
        remaining: 0,
        resetAt: 0,
        local: { perSecond, fullAt: 0 },
      }
      leases.set(name, lease)
    }
    return lease
  }

  async function refill(key: LimitKey, lease: Lease, least: number): Promise<number> {
    // one process has all of it at hand
    const ahead = shared === null ? 0 : Math.floor(key.perSecond * aheadShare)
    const wanted = Math.max(least + ahead, lease.waiting)
    const taken = await fetchUnits(key, lease, { perSecond: key.perSecond, wanted, least })
    const at = now()
    if (at >= lease.until) lease.units = 0
    lease.units += taken.granted
    lease.until = at + leaseMs
    lease.remaining = taken.remaining
    lease.resetAt = at + taken.resetMs
    if (taken.granted === 0) {
      lease.blockedUntil = at + taken.retryMs
      lease.blockedFor = least
    }
    return taken.granted
  }

  async function fetchUnits({ owner, scope, unit }: LimitKey, lease: Lease, wanted: RateWanted): Promise<RateTaken> {
    if (shared !== null && now() >= downUntil) {
      try {
        const taken = await shared.take({ owner, name: `${scope}:${unit}` }, wanted)
        if (isDown) log.info('rate limits are shared again')
        isDown = false
        return taken
      } catch (error) {
        if (!isDown) log.warn({ error, fallback }, 'rate limits are not shared: Redis does not answer')
        isDown = true
        downUntil = now() + downMs
      }
    }
    if (shared === null || fallback === 'local') return takeUnits(lease.local, wanted.wanted, wanted.least, now())
    if (fallback === 'open')
      return { granted: wanted.wanted, remaining: Math.max(0, wanted.perSecond - wanted.wanted), retryMs: 0, resetMs: 0 }
    throw new LockstepError(
      'REDIS_UNAVAILABLE',
      'The rate limits in Redis cannot be read, so requests are refused (LOCKSTEP_RATE_LIMIT_FALLBACK).',
    )
  }

  /** null: there are not enough now. */
  function takeFetched(key: LimitKey, lease: Lease, units: number): LimitState | null {
    const at = now()
    if (lease.units < units || at >= lease.until) return null
    lease.units -= units
    // fetched ahead of need, so that the next ones need not wait either
    const ahead = key.perSecond * aheadShare
    if (shared !== null && ahead >= 4 && lease.units < ahead / 2 && lease.refill === null && at >= lease.blockedUntil) {
      void startRefill(key, lease, 1).catch(() => undefined)
    }
    return { unit: key.unit, perSecond: key.perSecond, remaining: lease.remaining + lease.units, resetMs: Math.max(0, lease.resetAt - at) }
  }

  function startRefill(key: LimitKey, lease: Lease, least: number): Promise<number> {
    lease.refill ??= refill(key, lease, least).finally(() => (lease.refill = null))
    return lease.refill
  }

  async function fetchAndTake(key: LimitKey, lease: Lease, units: number): Promise<LimitState> {
    // more than a second's worth needs a full bucket, and must not have others empty it
    const waiting = units > key.perSecond ? 0 : units
    lease.waiting += waiting
    try {
      for (let tries = 0; tries < maxTries;) {
        if (now() < lease.blockedUntil && units >= lease.blockedFor) break
        const granted = await startRefill(key, lease, units)
        const taken = takeFetched(key, lease, units)
        if (taken !== null) return taken
        // where others took what came, the next fetch brings more
        if (granted === 0) tries++
      }
    } finally {
      lease.waiting -= waiting
    }
    throw limited(key, Math.max(1, lease.blockedUntil - now()))
  }

  return {
    take(key, units) {
      const lease = leaseOf(key)
      return takeFetched(key, lease, units) ?? fetchAndTake(key, lease, units)
    },
    close() {
      shared?.close()
    },
  }
}

/** How limits stand, as draft-ietf-httpapi-ratelimit-headers-11 has it: `"requests";r=50;t=1`. */
export function limitHeaders(states: readonly LimitState[]): Record<string, string> {
  return {
    'ratelimit-policy': states.map(({ unit, perSecond }) => `"${unit}";q=${Math.max(1, Math.floor(perSecond))};w=1`).join(', '),
    ratelimit: states
      .map(({ unit, remaining, resetMs }) => `"${unit}";r=${Math.floor(remaining)};t=${Math.ceil(resetMs / 1000)}`)
      .join(', '),
  }
}

function limited({ owner, scope, unit, perSecond }: LimitKey, retryMs: number): LockstepError {
  return new LockstepError(
    'RATE_LIMITED',
    `The API key "${owner}" is over its limit of ${perSecond} ${unit} per second for the scope "${scope}"; retry in ${Math.ceil(retryMs)} ms.`,
    {
      details: {
        key: owner,
        scope,
        limit: unit,
        perSecond,
        retryAfterMs: Math.ceil(retryMs),
        retryAfterSeconds: Math.ceil(retryMs / 1000),
      },
    },
  )
}
