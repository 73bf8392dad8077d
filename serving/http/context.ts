import type { HttpBindings } from '@hono/node-server'
import type { Logger } from '../../runtime/log.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Backfills } from '../backfills.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { LimitState } from '../gateway/rate-limiter.ts'
import type { RequestDeadline } from '../gateway/request-deadline.ts'
import type { EventIntake } from '../event-intake.ts'
import type { ReadExplanation } from '../explain.ts'
import type { ServingMetrics } from '../metrics.ts'
import type { ModelChanges } from '../model-changes.ts'
import type { ModelHost } from '../model-host.ts'
import type { PredictionLog } from '../log/prediction-log.ts'
import type { FeatureReaderDeps } from '../read-features.ts'
import type { WhenUnavailable } from '../when-unavailable.ts'
import type { Readiness, Whole } from '../whole.ts'

/** What the routes need. */
export interface AppDeps {
  /** @throws LockstepError `NOT_READY` */
  readonly catalog: () => Catalog
  /** What reads features under that catalog. @throws LockstepError `NOT_READY` */
  readonly reader: (catalog: Catalog) => FeatureReaderDeps
  readonly models: Pick<ModelHost, 'use' | 'answering' | 'failures'>
  readonly modelChanges: ModelChanges
  readonly intake: EventIntake
  readonly backfills: Backfills
  /** What the offline history says of an entity, row by row. */
  readonly explain: ReadExplanation
  readonly gateway: Gateway
  readonly readiness: () => Readiness
  /** What all processes behind the port say together. */
  readonly whole: Whole
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
  /** Whose pages may use the server from a browser; `*`: all. */
  readonly corsOrigins: readonly string[]
  /** For requests that do not say. */
  readonly whenUnavailable: WhenUnavailable
}

/** What Hono carries along with a request. The app runs behind @hono/node-server alone, which gives the Node request as well. */
export interface RequestEnv {
  Variables: {
    requestId: string
    /** The id of the API key; null where none is needed. */
    principal: string | null
    /** Absent: it may take as long as it does. */
    deadline?: RequestDeadline
    /** Absent: the key has no limit of rows. @throws LockstepError `RATE_LIMITED` */
    takeRows?: (rows: number) => Promise<void>
    /** How the limits of the key stand; absent: it has none. */
    limits?: readonly LimitState[]
  }
  Bindings: HttpBindings
}

/** What a route answers; `app.ts` makes the response of it. */
export interface RouteAnswer {
  readonly status: number
  /** null: none, with a status that has none. */
  readonly body: string | Uint8Array<ArrayBuffer> | null
  /** Absent: JSON. */
  readonly contentType?: string
  /** Beside those of every answer. */
  readonly headers?: Readonly<Record<string, string>>
}

export function jsonAnswer(value: unknown, status = 200): RouteAnswer {
  return { status, body: JSON.stringify(value) }
}
