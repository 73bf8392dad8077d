import type { AuditFilter, AuditRecord } from '../runtime/audit.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { StreamServers } from '../runtime/streams/open-consumer.ts'
import type { LogShares } from '../runtime/settings/log-shares.ts'
import type { Tracing } from '../runtime/tracing/span.ts'
import type { RollupRecorder } from '../monitoring/rollups/rollup-recorder.ts'
import type { Traffic } from './traffic/traffic.ts'
import type { NotKeptListener } from '../materializer/state-writer.ts'
import type { EventIntake } from '../materializer/events/event-intake.ts'
import type { ReadExplanation, ReadWindow } from './features/explain.ts'
import type { ServingMetrics } from './metrics.ts'
import type { Idempotency } from './traffic/idempotency.ts'
import type { ModelChanges } from './models/model-changes.ts'
import type { ModelHost } from './models/model-host.ts'
import type { PredictContext } from './predict/predict.ts'
import type { ReadCatalog } from './features/read-catalog.ts'
import type { Uploads } from './uploads/uploads.ts'
import type { Readiness } from '../runtime/workers/messages.ts'
import type { ServerStatus } from './lifecycle/server-status.ts'

/** How events become rows and states. */
export interface Folding {
  /** How far ahead of now an event may say that it happened, microseconds. */
  readonly futureMicros: number
  /** Called with entities whose states are not kept. */
  readonly onTooLarge: NotKeptListener
  /** Called if rows were committed but not folded. The next run of each view folds them. */
  readonly onFoldFailure: (source: string, error: unknown) => void
}

/** The dependencies of every protocol. */
export interface ServingContext extends PredictContext {
  /**
   * As `catalog`, for reads that may name a service or a view without its version. @throws LockstepError `NOT_READY`
   */
  readonly readCatalog: () => ReadCatalog
  readonly rollups: Pick<RollupRecorder, 'answered' | 'failed' | 'bypassed' | 'errorAnswered'>
  readonly models: Pick<ModelHost, 'use' | 'answering' | 'allAnswer' | 'failureOf'>
  readonly modelChanges: ModelChanges
  /** Loads the registry up to that revision. False: this server could not, and keeps trying. */
  readonly reachRevision: (revision: number) => Promise<boolean>
  readonly intake: EventIntake
  /** For routes that begin backfills and runs, and show jobs. */
  readonly upkeep: {
    /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
    readonly database: () => Database
    /** @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
    readonly store: () => OnlineStore
    /** Its kind while it is down. */
    readonly storeKind: OnlineStore['kind']
    /** How far views are re-materialized after a failover of the store, milliseconds. */
    readonly replayMs: number | undefined
    /** Where the streams are that a replay of a pipeline begins in. */
    readonly streams: StreamServers
    readonly folding: Folding
  }
  /** Whether channels of alerts may have private addresses. */
  readonly privateAddresses: boolean
  /** Whether models have default monitors. */
  readonly defaultMonitors: boolean
  readonly idempotency: Idempotency
  readonly uploads: Uploads
  /** The folder of the training sets that are made over HTTP. */
  readonly datasetsDirectory: string
  /** Lines of the audit log, newest first. */
  readonly audit: (filter: AuditFilter) => Promise<AuditRecord[]>
  /** Explains an entity's values by the rows of its history. */
  readonly explain: ReadExplanation
  /** The same over a window of time. */
  readonly explainWindow: ReadWindow
  readonly traffic: Traffic
  readonly readiness: () => Readiness
  /** The status of all processes behind the port together. */
  readonly status: ServerStatus
  /** Whether `/metrics` needs a key here, or is answered on another port. */
  readonly metricsAt: 'off' | 'required' | 'elsewhere'
  /** Whether connections are to be closed after their answer. */
  readonly closing: () => boolean
  readonly metrics: ServingMetrics
  /** null: no request is traced. */
  readonly tracing: Tracing | null
  /** The share of requests that is logged. */
  readonly logShares: LogShares
  readonly bodyLimitBytes: number
  /** How long a request waits for a backfill that makes no progress. */
  readonly idleBackfillMs: number
  /** The origins of pages that may use the server from a browser; `*`: all. */
  readonly corsOrigins: readonly string[]
}
