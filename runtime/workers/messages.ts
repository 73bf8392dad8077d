import type { ErrorCode } from '../../kernel/errors.ts'

/** Where a process answers. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly url: string
  readonly grpcPort: number | null
}

/** The first message to a worker. */
export interface Task {
  readonly host: string
  readonly port: number
  readonly grpcPort: number | null
  /** Epoch microseconds; null: now. */
  readonly asOf: number | null
  readonly onUnavailable: string | null
  /** True for one worker of a pool, which does the tasks that must run once. */
  readonly lead: boolean
  /** How long a replacement worker waits to be ready before it listens, since other workers can answer until then. */
  readonly warmMs: number
}

/** How a process stands, as `GET /readyz` says. */
export interface Readiness {
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reasons: readonly string[]
  /** Problems that do not keep it from answering. */
  readonly warnings: readonly string[]
  /** The parts that the reasons, and the warnings, are about: names that reveal nothing about this installation. */
  readonly failing: readonly string[]
  readonly degraded: readonly string[]
}

/** A metric as prom-client's `getMetricsAsJSON` gives it. */
export interface MetricJson {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly aggregator: string
  readonly values: readonly {
    readonly value: number
    readonly labels: Readonly<Record<string, string | number>>
    readonly metricName?: string
  }[]
}

/** The report of a worker about itself. */
export interface Report extends Readiness {
  readonly metrics: readonly MetricJson[]
}

/** The status of all workers of a pool. */
export interface PoolStatus {
  readonly readiness: Readiness
  /** As Prometheus reads them. */
  readonly metrics: string
}

export type ToWorker =
  | { readonly kind: 'begin'; readonly task: Task }
  | { readonly kind: 'report'; readonly id: number }
  | { readonly kind: 'status'; readonly id: number; readonly status: PoolStatus }
  | { readonly kind: 'stop' }

export type ToPool =
  | { readonly kind: 'hello' }
  | { readonly kind: 'listening'; readonly address: Address }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly details: Readonly<Record<string, unknown>> }
  | { readonly kind: 'report'; readonly id: number; readonly report: Report }
  | { readonly kind: 'status'; readonly id: number }
