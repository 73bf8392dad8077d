import type { AuditFilter, AuditRecord } from '../runtime/audit.ts'
import type { Logger } from '../runtime/log.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Backfills } from './backfills.ts'
import type { Traffic } from './traffic/traffic.ts'
import type { EventIntake } from '../materializer/event-intake.ts'
import type { ReadExplanation } from './features/explain.ts'
import type { ServingMetrics } from './metrics.ts'
import type { Idempotency } from './traffic/idempotency.ts'
import type { ModelChanges } from './models/model-changes.ts'
import type { ModelHost } from './models/model-host.ts'
import type { PredictionLog } from '../monitoring/prediction-log/prediction-log.ts'
import type { ReadCatalog } from './features/read-catalog.ts'
import type { FeatureReaderDeps } from './features/read-features.ts'
import type { OnUnavailable } from './features/fallback-policy.ts'
import type { Readiness, ServerStatus } from './lifecycle/server-status.ts'

/** What every protocol needs to answer. */
export interface ServingContext {
  /** @throws LockstepError `NOT_READY` */
  readonly catalog: () => Catalog
  /** The same, for reads that may name a service or a view without its version. @throws LockstepError `NOT_READY` */
  readonly readCatalog: () => ReadCatalog
  /** What reads features under that catalog. @throws LockstepError `NOT_READY` */
  readonly reader: (catalog: Catalog) => FeatureReaderDeps
  readonly models: Pick<ModelHost, 'use' | 'answering' | 'failures' | 'failureOf'>
  readonly modelChanges: ModelChanges
  readonly intake: EventIntake
  readonly backfills: Backfills
  readonly idempotency: Idempotency
  /** Lines of the audit log, newest first. */
  readonly audit: (filter: AuditFilter) => Promise<AuditRecord[]>
  /** What the offline history says of an entity, row by row. */
  readonly explain: ReadExplanation
  readonly traffic: Traffic
  readonly readiness: () => Readiness
  /** What all processes behind the port say together. */
  readonly status: ServerStatus
  /** Whether `/metrics` needs a key here, or is answered on another port. */
  readonly metricsAt: 'off' | 'required' | 'elsewhere'
  /** Whether connections are to be closed after their answer. */
  readonly closing: () => boolean
  readonly metrics: ServingMetrics
  readonly predictionLog: Pick<PredictionLog, 'note'>
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
  /** The moment of a request that names none, epoch microseconds; null: now. */
  readonly defaultAsOf: number | null
  readonly bodyLimitBytes: number
  /** How long a request waits for a backfill that gets no further. */
  readonly idleBackfillMs: number
  /** Whose pages may use the server from a browser; `*`: all. */
  readonly corsOrigins: readonly string[]
  /** For requests that do not say. */
  readonly onUnavailable: OnUnavailable
}
