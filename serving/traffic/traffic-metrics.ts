import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'
import type { ErrorCode } from '../../kernel/errors.ts'

const refusals: readonly ErrorCode[] = ['UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED', 'DEADLINE_EXCEEDED', 'OVERLOADED']

/** Counts refused requests and queue lengths. No label holds a key. */
export interface TrafficMetrics {
  /** A request that was refused before its handler began, or whose deadline passed. */
  refused(code: ErrorCode): void
  /** A breaker that opened or closed. @param server one of the servers of the dependency */
  breaker(dependency: string, open: boolean, server?: string): void
  /** A server that has left the dependency. */
  forgetServer(dependency: string, server: string): void
}

export function createTrafficMetrics(
  registry: Registry,
  admission: () => { readonly inFlight: number; readonly limit: number },
): TrafficMetrics {
  const registers = [registry]
  const refused = new Counter({
    name: 'lockstep_refused_requests_total',
    help: 'Requests refused before they were handled, by error code.',
    labelNames: ['code'],
    registers,
  })
  // so that a rate sees the first one
  for (const code of refusals) refused.inc({ code }, 0)
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_in_flight_requests',
      help: 'Requests in flight.',
      registers: [],
      collect() {
        this.set(admission().inFlight)
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_in_flight_limit',
      help: 'The current limit of requests in flight.',
      registers: [],
      collect() {
        this.set(admission().limit)
      },
    }),
  )
  const breakers = new Gauge({
    name: 'lockstep_breaker_open',
    help: '1 while the circuit breaker of a dependency, or of a server of a Redis Cluster, is open, else 0.',
    labelNames: ['dependency', 'server'],
    aggregator: 'max',
    registers,
  })
  return {
    refused: (code) => refused.inc({ code }),
    breaker: (dependency, open, server) => breakers.set({ dependency, ...(server === undefined ? {} : { server }) }, open ? 1 : 0),
    forgetServer: (dependency, server) => breakers.remove({ dependency, server }),
  }
}
