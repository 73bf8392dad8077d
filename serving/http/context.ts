import type { Logger } from '../../runtime/log.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ServingMetrics } from '../metrics.ts'
import type { ModelHost } from '../model-host.ts'
import type { FeatureReaderDeps } from '../read-features.ts'

/** What the routes need. */
export interface AppDeps {
  /** @throws LockstepError `NOT_READY` */
  readonly catalog: () => Catalog
  /** What reads features under that catalog. @throws LockstepError `NOT_READY` */
  readonly reader: (catalog: Catalog) => FeatureReaderDeps
  readonly models: Pick<ModelHost, 'use'>
  readonly readiness: () => Readiness
  readonly metrics: ServingMetrics
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
  /** The moment of a request that names none, epoch microseconds; null: now. */
  readonly defaultAsOf: number | null
  readonly bodyLimitBytes: number
}

export interface Readiness {
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reasons: readonly string[]
  /** What is amiss while requests can be answered all the same. */
  readonly warnings: readonly string[]
  /** Whether connections are to be closed after their answer. */
  readonly closing: boolean
}

/** What Hono carries along with a request. */
export interface RequestEnv {
  Variables: { requestId: string }
}
