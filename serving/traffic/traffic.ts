import type { Registry } from 'prom-client'
import { LockstepError } from '../../kernel/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { createRedisRateLimits } from '../../runtime/redis/redis-rate-limits.ts'
import type { Admission } from './admission.ts'
import { createAdmission } from './admission.ts'
import type { Breaker } from './circuit-breaker.ts'
import { createBreaker } from './circuit-breaker.ts'
import type { FailureLog } from './failure-log.ts'
import { createFailureLog } from './failure-log.ts'
import type { ServerBreakers } from './server-breakers.ts'
import { createServerBreakers } from './server-breakers.ts'
import type { TrafficMetrics } from './traffic-metrics.ts'
import { createTrafficMetrics } from './traffic-metrics.ts'
import type { LimitFallback, RateLimiter } from './rate-limiter.ts'
import { createRateLimiter } from './rate-limiter.ts'
import type { KeyPlaces } from './key-places.ts'
import { createKeyPlaces } from './key-places.ts'
import type { AuthMode, KeyRing } from './key-ring.ts'
import type { Paced } from './paced.ts'
import { createPaced } from './paced.ts'
import { createKeyRing } from './key-ring.ts'

/**
 * The stages before the handler of a request, in every protocol: keys, admission, limits, deadlines, circuit breakers.
 */
export interface Traffic {
  readonly keys: KeyRing
  readonly admission: Admission
  /** For long answers that need no key: one at a time. */
  readonly paced: Paced
  /** How many requests of each key are in flight. */
  readonly places: KeyPlaces
  readonly limits: RateLimiter
  /** Circuit breakers of the online store, of each server of a store on several, and of the offline history. */
  readonly store: Breaker
  readonly storeServers: ServerBreakers
  readonly history: Breaker
  readonly metrics: TrafficMetrics
  readonly failures: FailureLog
  /** How long a request may take, milliseconds; null: as long as it says. */
  readonly requestTimeoutMs: number | null
  /** The share of requests that are logged, 0 to 1. */
  readonly accessLogShare: number
  close(): void
}

/** As `Config` has them. */
export interface TrafficOptions {
  readonly auth?: AuthMode
  readonly requestTimeoutMs?: number
  readonly maxInFlight?: number
  /** Default: three quarters of `maxInFlight`. */
  readonly maxInFlightPerKey?: number | null
  readonly accessLogShare?: number
  readonly rateLimitFallback?: LimitFallback
  /** The Redis in which processes share the limits of keys, and the prefix of its keys; null: this process is alone. */
  readonly redisUrl?: string | null
  readonly redisPrefix?: string
}

const sampleMs = 50

export function createTraffic(options: TrafficOptions, { log, registry }: { readonly log: Logger; readonly registry: Registry }): Traffic {
  const metrics = createTrafficMetrics(registry, () => admission)
  const maxInFlight = options.maxInFlight ?? 1024
  const admission = createAdmission({
    max: maxInFlight,
    now: () => performance.now(),
    busy: busySince(),
    onRefuse: () => metrics.refused('OVERLOADED'),
  })
  const paced = createPaced(() => metrics.refused('OVERLOADED'))
  const shared = options.redisUrl ?? null
  const limits = createRateLimiter({
    shared: shared === null ? null : createRedisRateLimits(shared, options.redisPrefix ?? 'lockstep'),
    fallback: options.rateLimitFallback ?? 'local',
    log,
    now: () => performance.now(),
  })
  function breaker(
    label: string,
    name: string,
    code: 'REDIS_UNAVAILABLE' | 'POSTGRES_UNAVAILABLE',
    server?: string,
    isPresent = () => true,
  ): Breaker {
    metrics.breaker(label, false, server)
    return createBreaker({
      isUnavailable: (error) => error instanceof LockstepError && error.code === code,
      refuse: () => new LockstepError(code, `${name} has failed several times in a row and is not called for a short time.`),
      now: () => performance.now(),
      onChange(open) {
        // the metric of a server that has left would never be set again
        if (!isPresent()) return
        metrics.breaker(label, open, server)
        if (open) log.warn({ dependency: name }, 'a dependency fails: its circuit breaker opened')
        else log.info({ dependency: name }, 'a dependency works again: its circuit breaker closed')
      },
    })
  }
  const failures = createFailureLog(log)
  const sampling = setInterval(admission.sample, sampleMs).unref()
  const keys = createKeyRing({ mode: options.auth ?? 'auto', log })
  return {
    keys,
    admission,
    paced,
    places: createKeyPlaces(options.maxInFlightPerKey ?? Math.ceil(maxInFlight * 0.75)),
    limits,
    store: breaker('store', 'The online store', 'REDIS_UNAVAILABLE'),
    storeServers: createServerBreakers({
      create: (server, isPresent) =>
        breaker('store', `The server "${server}" of the Redis Cluster`, 'REDIS_UNAVAILABLE', server, isPresent),
      onForget: (server) => metrics.forgetServer('store', server),
    }),
    history: breaker('database', 'The database', 'POSTGRES_UNAVAILABLE'),
    metrics,
    failures,
    requestTimeoutMs: options.requestTimeoutMs ?? null,
    accessLogShare: options.accessLogShare ?? 0,
    close() {
      clearInterval(sampling)
      admission.close()
      paced.close()
      limits.close()
      failures.close()
    },
  }
}

/** Measures the share of the time since the last call in which the event loop was busy. */
function busySince(): () => number {
  let last = performance.eventLoopUtilization()
  return () => {
    const current = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(current, last)
    last = current
    return utilization
  }
}
