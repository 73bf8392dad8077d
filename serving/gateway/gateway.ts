import type { Registry } from 'prom-client'
import type { Logger } from '../../runtime/log.ts'
import type { Admission } from './admission.ts'
import { createAdmission } from './admission.ts'
import type { GatewayMetrics } from './gateway-metrics.ts'
import { createGatewayMetrics } from './gateway-metrics.ts'
import type { AuthMode, KeyRing } from './key-ring.ts'
import { createKeyRing } from './key-ring.ts'

/** What stands between a connection and the handlers: who may ask what, how much at once, and for how long. */
export interface Gateway {
  readonly keys: KeyRing
  readonly admission: Admission
  readonly metrics: GatewayMetrics
  /** Of requests that do not say, milliseconds; null: none. */
  readonly requestTimeoutMs: number | null
  /** The share of requests that the log tells of, 0 to 1. */
  readonly accessLogShare: number
  close(): void
}

/** As `Config` has them. */
export interface GatewayOptions {
  readonly auth?: AuthMode
  readonly requestTimeoutMs?: number
  readonly maxInFlight?: number
  readonly accessLogShare?: number
}

const sampleMs = 50

export function createGateway(options: GatewayOptions, { log, registry }: { readonly log: Logger; readonly registry: Registry }): Gateway {
  const metrics = createGatewayMetrics(registry, () => admission)
  const admission = createAdmission({
    most: options.maxInFlight ?? 1024,
    now: () => performance.now(),
    busy: busySince(),
    onRefuse: () => metrics.refused('OVERLOADED'),
  })
  const sampling = setInterval(admission.sample, sampleMs).unref()
  return {
    keys: createKeyRing({ mode: options.auth ?? 'auto', log, now: Date.now }),
    admission,
    metrics,
    requestTimeoutMs: options.requestTimeoutMs ?? null,
    accessLogShare: options.accessLogShare ?? 0,
    close() {
      clearInterval(sampling)
      admission.close()
    },
  }
}

/** The share of the time since the last call in which the event loop did not wait for anything. */
function busySince(): () => number {
  let last = performance.eventLoopUtilization()
  return () => {
    const current = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(current, last)
    last = current
    return utilization
  }
}
