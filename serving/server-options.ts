import type { Registry } from 'prom-client'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { StreamServers } from '../runtime/streams/open-consumer.ts'
import type { LogShares } from '../runtime/settings/log-shares.ts'
import type { Logger } from '../runtime/log.ts'
import type { TlsFiles } from '../runtime/tls-pair.ts'
import type { UiSettings } from '../runtime/settings/ui-settings.ts'
import type { Tracing } from '../runtime/tracing/span.ts'
import type { TrafficOptions } from './traffic/traffic.ts'
import type { PredictionLogOptions } from '../monitoring/prediction-log/prediction-log.ts'
import type { RollupRecorder } from '../monitoring/rollups/rollup-recorder.ts'
import type { OnUnavailable } from './features/fallback-policy.ts'
import type { ExposureOptions } from '../monitoring/exposures/exposure-recorder.ts'
import type { PredictContext } from './predict/predict.ts'
import type { ShadowOptions } from './rollouts/shadow-runner.ts'
import type { Readiness } from '../runtime/workers/messages.ts'
import type { KeptModels } from './models/model-host.ts'
import type { ServerStatus } from './lifecycle/server-status.ts'

export interface ServerOptions {
  /**
   * `redisUrl`: where the online store is, for messages. The URLs of streams: where replays of pipelines begin.
   * Default of the others: no pages of other origins, no predictions are logged, and are kept for 30 days.
   */
  readonly config: {
    readonly bodyLimitBytes: number
    readonly corsOrigins?: readonly string[]
    readonly redisUrl?: string | null
    /**
     * The folder of uploads and of training sets that the server makes. Default: one in the folder for temporary files.
     */
    readonly filesDirectory?: string
    /** The maximum size of all uploads together. Default: 10 GiB. */
    readonly uploadLimitBytes?: number
    readonly logShares?: LogShares
    readonly logRetentionDays?: number
    /** For how many days the audit log is kept. Default: 365. */
    readonly auditRetentionDays?: number
    /** For how many days exposures and counts of ended experiments and rollouts are kept. Default: 365. */
    readonly evidenceRetentionDays?: number
    readonly shutdownDelayMs?: number
    /** How far after its receipt an event may say it happened, microseconds. Default: 10 minutes. */
    readonly futureMicros?: number
    /** Whether `/metrics` needs a key. Default: off. */
    readonly metricsAuth?: 'off' | 'required'
    /** Where something else answers it; null: here it is answered. */
    readonly metricsPort?: number | null
    /** How many logged vectors are compared with the history each minute. Default: 0. */
    readonly parityPerMinute?: number
    readonly rollups?: { readonly rowsPerSecond: number } | null
    /** Whether applied channels of alerts may have private addresses. Default: false. */
    readonly alertPrivateAddresses?: boolean
    readonly defaultMonitors?: boolean
    /** How old states may be that are answered while the online store is down. Default: 0, none are. */
    readonly staleSeconds?: number
    /** How many megabytes of them are remembered. Default: 64. */
    readonly staleMegabytes?: number
    /** Where the certificate and key for HTTP and gRPC are. Default: null, without TLS. */
    readonly tls?: TlsFiles | null
    /**
     * How many gRPC calls of one connection may be under way, and how many connections may be open. Defaults as
     * `GrpcOptions`.
     */
    readonly grpcMaxStreams?: number
    readonly grpcMaxConnections?: number | null
    /** How the dashboard is reached. Default: where only this machine reaches the server. */
    readonly ui?: UiSettings
  } & TrafficOptions &
    Partial<StreamServers>
  /** Opens the database; called again while it fails. The server closes what it gives. */
  readonly database: () => Promise<Database>
  /** Opens the online store; called again while it fails. The server closes what it gives. */
  readonly store: () => Promise<OnlineStore>
  readonly log: Logger
  readonly metrics: Registry
  /** Makes the spans of requests. The caller closes it after the server. Default: null, none are made. */
  readonly tracing?: Tracing | null
  /** Now, in epoch microseconds. */
  readonly clock: () => number
  /** The moment of requests that name none, epoch microseconds. Absent: now. */
  readonly defaultAsOf?: number
  /** The default of `onUnavailable` in requests. Default: the error. */
  readonly onUnavailable?: OnUnavailable
  /** Where several processes share the port: what all say together, of what this one does. */
  readonly status?: (own: ServerStatus) => ServerStatus
  /**
   * Whether it drops old days of the prediction log, and watches parity and freshness, which one process does for all.
   * Default: true.
   */
  readonly lead?: boolean
  /** Which models are kept loaded. Others are loaded by their first request. Default: all. */
  readonly keeps?: KeptModels
  /** How long it waits to be ready before it listens. Default: 0. */
  readonly warmMs?: number
  /** Options of the prediction log that differ from its defaults. */
  readonly predictionLog?: Pick<PredictionLogOptions, 'maxValues' | 'flushMs' | 'snapshotMs'>
  /** How exposures of experiments are written. */
  readonly exposures?: ExposureOptions
  /** Summarizes what the server answers, in place of a recorder by `config.rollups`. The server closes it. */
  readonly rollups?: RollupRecorder
  /**
   * Finds the files of the dashboard's pages; null: they are not built. It is called when the server listens, if the
   * dashboard is on. Default: `createUiFolder`, called when the first page is asked for.
   */
  readonly uiFolder?: () => Promise<string | null>
  /**
   * The folder of the embedded database. Other processes learn the server's URL there, and `lockstep ui` leaves
   * one-time codes. Default: null, there is none.
   */
  readonly embeddedDirectory?: string | null
  /** The budget of shadows. */
  readonly shadows?: Partial<ShadowOptions>
  /** How often the registry is looked at for changes and the stores for life. Default 2000. */
  readonly pollMs?: number
  /** How long requests under way may take when the server closes. Default 10,000. */
  readonly drainMs?: number
  /** How long each of its parts may take to close, once no request is under way. Default: 1,500 to 6,000, by part. */
  readonly closeMs?: number
  /**
   * How long a client may take to send the head of a request (over gRPC: to begin its first call), and all of it.
   * Default 10,000 and 60,000.
   */
  readonly headMs?: number
  readonly requestMs?: number
  /** How long no worker may be seen before that is reported. Default 10,000. */
  readonly workerGraceMs?: number
  /** How long a push waits until its events are online. Default 250. */
  readonly foldWaitMs?: number
  /** How far views are re-materialized after a failover of the store, milliseconds. Default: an hour. */
  readonly replayMs?: number
  /** How long a request waits for a backfill of which no chunk is done. Default 60,000. */
  readonly idleBackfillMs?: number
}

export interface Predicting {
  readonly context: PredictContext
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  /** @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
  readonly store: () => OnlineStore
}

export interface ListeningAt {
  readonly host: string
  readonly port: number
  readonly url: string
  /** The URL of the dashboard; null: there is none. */
  readonly uiUrl: string | null
  /** null where gRPC is not answered. */
  readonly grpcPort: number | null
}

export interface LockstepServer {
  /** Predicts, for work beside requests. */
  readonly predicting: Predicting
  /** Begins to watch the registry and the stores, for a process that does not listen. */
  start(): void
  /**
   * Begins to accept requests at once; they are answered with NOT_READY until the stores have answered.
   *
   * @param port 0: any free one
   * @param grpcPort where gRPC is answered too, on the same host; 0: any free one; absent: it is not
   * @throws LockstepError `PORT_IN_USE`, or `CONFIG_INVALID` where the address is not this machine's or not allowed
   */
  listen(host: string, port: number, grpcPort?: number): Promise<ListeningAt>
  readiness(): Readiness
  /**
   * Takes in what was changed in the registry and the online store now, instead of at the next notice or check.
   *
   * @throws LockstepError `POSTGRES_UNAVAILABLE`
   */
  refresh(): Promise<void>
  /** Resolves once requests can be answered. */
  whenReady(): Promise<void>
  /**
   * Not ready at once, no new connections, requests under way finished within `drainMs`; then models, store and
   * database are closed. What does not close in time is logged and left, so it ends within the delay before, `drainMs`
   * and 11 s more, whatever hangs.
   */
  close(): Promise<void>
}
