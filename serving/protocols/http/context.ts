import type { ServerResponse } from 'node:http'
import type { Actor, AuditFilter, AuditRecord } from '../../../runtime/audit.ts'
import type { Logger } from '../../../runtime/log.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { Backfills } from '../../backfills.ts'
import type { Gateway } from '../../traffic/traffic.ts'
import type { LimitState } from '../../traffic/rate-limiter.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import type { EventIntake } from '../../event-intake.ts'
import type { ReadExplanation } from '../../features/explain.ts'
import type { ServingMetrics } from '../../metrics.ts'
import type { Idempotency } from '../../traffic/idempotency.ts'
import type { ModelChanges } from '../../models/model-changes.ts'
import type { ModelHost } from '../../models/model-host.ts'
import type { PredictionLog } from '../../../monitoring/prediction-log/prediction-log.ts'
import type { ReadCatalog } from '../../features/read-catalog.ts'
import type { FeatureReaderDeps } from '../../features/read-features.ts'
import type { WhenUnavailable } from '../../features/fallback-policy.ts'
import type { Readiness, Whole } from '../../lifecycle/server-status.ts'
import type { IncomingRequest } from './incoming-request.ts'

/** What the routes need. */
export interface AppDeps {
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
  readonly gateway: Gateway
  readonly readiness: () => Readiness
  /** What all processes behind the port say together. */
  readonly whole: Whole
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
  readonly whenUnavailable: WhenUnavailable
}

/** A request on its way to its answer. */
export interface Call {
  readonly incoming: IncomingRequest
  readonly outgoing: ServerResponse
  /** When it came, milliseconds of `performance.now()`. */
  readonly startedMs: number
  readonly requestId: string
  /** By name: what stands in the path for `:name`. */
  params: Readonly<Record<string, string>>
  /** The id of the API key; null where none is needed, or it is not known yet. */
  principal: string | null
  /** Those of that key. */
  scopes: readonly Scope[] | null
  /** What tells the request apart, where the client has marked it; else undefined. */
  idempotent: string | undefined
  /** Gives back its place among those of the key; undefined: it has none. */
  leaveKey: (() => void) | undefined
  /** undefined: it may take as long as it does. */
  deadline: RequestDeadline | undefined
  /** undefined: the key has no limit of rows. @throws LockstepError `RATE_LIMITED` */
  takeRows: ((rows: number) => Promise<void>) | undefined
  /** How the limits of the key stand; undefined: it has none. */
  limits: readonly LimitState[] | undefined
}

/** What Hono carries along with a request. */
export interface RequestEnv {
  Bindings: Call
}

/** What a route answers; `app.ts` sends it. */
export interface RouteAnswer {
  readonly status: number
  /** null: none, with a status that has none. */
  readonly body: string | Uint8Array<ArrayBuffer> | null
  /** Absent: JSON. */
  readonly contentType?: string
  /** Beside those of every answer. */
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the same object answers other requests, too: what compressing it makes is kept then. */
  readonly kept?: true
}

/** An answer that is given again and again: its bytes are made once. */
export function keptAnswer(text: string, more: Pick<RouteAnswer, 'contentType' | 'headers'> = {}): RouteAnswer {
  return { status: 200, body: new Uint8Array(Buffer.from(text)), ...more, kept: true }
}

export function jsonAnswer(value: unknown, status = 200): RouteAnswer {
  return { status, body: JSON.stringify(value) }
}

/**
 * Who asks, for what is written down: the API key that the request came with, by its id; without keys nobody is known.
 */
export function actorOf({ principal, requestId }: Call, reason?: string): Actor {
  return { actor: principal ?? 'http', reason, requestId }
}
