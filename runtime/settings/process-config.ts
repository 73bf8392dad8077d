import { join, resolve } from 'node:path'
import type { LogLevel } from '../log.ts'
import type { TlsFiles } from '../tls-pair.ts'
import type { TraceSettings } from '../tracing/trace-settings.ts'
import type { LogShares } from './log-shares.ts'
import type { UiSettings } from './ui-settings.ts'
import { uiSettings } from './ui-settings.ts'
import type { RollupDays, Variables } from './variables.ts'

export type RedisReads = 'primary' | 'replica'

/** The configuration of a process (docs/configuration.md). */
export interface Config {
  /** The definitions file of commands that name none, absolute. It may be missing. */
  readonly definitions: string
  /** null: the embedded database. May hold a password: never print it. */
  readonly postgresUrl: string | null
  /** null: the embedded online store. May hold a password: never print it. */
  readonly redisUrl: string | null
  /** Whether features are read from the primaries of a Redis Cluster or from its replicas, which may lag. */
  readonly redisReads: RedisReads
  /** The Redis for source streams; null: none. May hold a password: never print it. */
  readonly streamRedisUrl: string | null
  /** The NATS server for source streams; null: none. May hold a password: never print it. */
  readonly natsUrl: string | null
  /** The Kafka brokers for source streams; null: none. May hold a password: never print it. */
  readonly kafkaUrl: string | null
  /** The schema registry of streams in Avro; null: none. May hold a password: never print it. */
  readonly schemaRegistryUrl: string | null
  /** The bearer token for the schema registry; null: none. A secret: never print it. */
  readonly schemaRegistryToken: string | null
  /** How far back rows are re-materialized after a Redis failover, seconds. */
  readonly replaySeconds: number
  /** The prefix of every key in Redis. */
  readonly redisPrefix: string
  /** The folder of the embedded database and store, absolute. */
  readonly directory: string
  /** The folder of uploads and of training sets that servers make, absolute. */
  readonly filesDirectory: string
  /** The folder of the programs that trainings may run, absolute; null: this process runs none. */
  readonly trainers: string | null
  /** How many training sets of each training are kept, beside those of model versions. */
  readonly trainingSets: number
  /** The maximum size of all uploads together, bytes. */
  readonly uploadLimitBytes: number
  /** The URL of the server to which commands are sent; null: they use the stores. */
  readonly server: string | null
  /** How long that server may send nothing until it is asked whether it lives, milliseconds. */
  readonly serverSilenceMs: number
  /** The API key for that server; null: none. Never print it. */
  readonly apiKey: string | null
  readonly host: string
  readonly port: number
  /** The absolute paths of the certificate and key for HTTP and gRPC; null: no TLS. */
  readonly tls: TlsFiles | null
  /** Where gRPC is answered; null: nowhere. */
  readonly grpcPort: number | null
  /** The maximum concurrent gRPC calls of one connection. */
  readonly grpcMaxStreams: number
  /** The maximum open gRPC connections; null: a quarter of the process's file descriptor limit. */
  readonly grpcMaxConnections: number | null
  /** The maximum size of a request body, bytes. */
  readonly bodyLimitBytes: number
  /** The allowed CORS origins, as `https://app.example`; `*`: all. */
  readonly corsOrigins: readonly string[]
  /** How far in the future the event time of a pushed event may be, microseconds. */
  readonly futureMicros: number
  /** Of which requests the predictions are logged. */
  readonly logShares: LogShares
  /** The retention of the prediction log, days before the current day. */
  readonly logRetentionDays: number
  /** How many logged vectors per minute a server compares with the history. */
  readonly parityPerMinute: number
  /** Whether servers summarize what they answer, by minute, and of how many rows a second they take the values. */
  readonly rollups: { readonly rowsPerSecond: number } | null
  /** How many days rollups are kept, by their step. */
  readonly rollupDays: RollupDays
  readonly logLevel: LogLevel
  /** For how many days the audit log is kept. */
  readonly auditRetentionDays: number
  /** For how many days the exposures of ended experiments and the counts of ended rollouts are kept. */
  readonly evidenceRetentionDays: number
  /**
   * The signing keys of definitions and models. The first key signs, and all keys verify. null: no signatures. Never
   * print them.
   */
  readonly signingKeys: readonly [string, ...string[]] | null
  /**
   * Whether requests need an API key: always, never, or if a key was ever created or other machines can reach the
   * server.
   */
  readonly auth: 'auto' | 'required' | 'off'
  /** The deadline of requests that state none, milliseconds. */
  readonly requestTimeoutMs: number
  /**
   * The maximum age of stale states that are served while the online store is unavailable, seconds; 0: none are served.
   */
  readonly staleSeconds: number
  /** The memory for stale states, megabytes. */
  readonly staleMegabytes: number
  /** The handling of API key limits while the Redis that shares them is unavailable. */
  readonly rateLimitFallback: 'local' | 'open' | 'closed'
  /** Whether `/metrics` needs an API key. */
  readonly metricsAuth: 'off' | 'required'
  /** The separate port for metrics; null: the server's main port. */
  readonly metricsPort: number | null
  readonly metricsHost: string
  /** How many requests may be under way at once. */
  readonly maxInFlight: number
  /** The same for one API key; null: three quarters of it. */
  readonly maxInFlightPerKey: number | null
  /** The share of requests that are logged, 0 to 1. */
  readonly accessLogShare: number
  /** How long a server keeps answering after it was asked to stop, milliseconds. */
  readonly shutdownDelayMs: number
  /**
   * A process whose event loop is blocked this long is ended, seconds; 0: never; null: 30, or never with the embedded
   * database.
   */
  readonly watchdogSeconds: number | null
  /** Whether every model and online view has monitors that nobody declared. */
  readonly defaultMonitors: boolean
  /** Whether alerts may be sent to private addresses. */
  readonly alertPrivateAddresses: boolean
  /** Where spans of traces are sent; null: none are made. */
  readonly traces: TraceSettings | null
  /** How the dashboard is reached. */
  readonly ui: UiSettings
}

/** The configuration that valid variables say, with absolute paths and in the units of its names. */
export function toConfig(data: Variables, traces: TraceSettings | null): Config {
  return {
    definitions: resolve(data.LOCKSTEP_DEFINITIONS),
    postgresUrl: data.LOCKSTEP_POSTGRES_URL ?? null,
    redisUrl: data.LOCKSTEP_REDIS_URL ?? null,
    redisReads: data.LOCKSTEP_REDIS_READS,
    streamRedisUrl: data.LOCKSTEP_STREAM_REDIS_URL ?? data.LOCKSTEP_REDIS_URL ?? null,
    natsUrl: data.LOCKSTEP_NATS_URL ?? null,
    kafkaUrl: data.LOCKSTEP_KAFKA_URL ?? null,
    schemaRegistryUrl: data.LOCKSTEP_SCHEMA_REGISTRY_URL ?? null,
    schemaRegistryToken: data.LOCKSTEP_SCHEMA_REGISTRY_TOKEN ?? null,
    replaySeconds: data.LOCKSTEP_REPLAY_SECONDS,
    redisPrefix: data.LOCKSTEP_REDIS_PREFIX,
    directory: resolve(data.LOCKSTEP_DIR),
    filesDirectory: resolve(data.LOCKSTEP_FILES_DIR ?? join(data.LOCKSTEP_DIR, 'files')),
    trainers: data.LOCKSTEP_TRAINERS === undefined ? null : resolve(data.LOCKSTEP_TRAINERS),
    trainingSets: data.LOCKSTEP_TRAINING_SETS,
    uploadLimitBytes: data.LOCKSTEP_UPLOAD_MB * 2 ** 20,
    server: data.LOCKSTEP_SERVER ?? null,
    serverSilenceMs: data.LOCKSTEP_SERVER_SILENCE_SECONDS * 1000,
    apiKey: data.LOCKSTEP_API_KEY ?? null,
    host: data.LOCKSTEP_HOST,
    port: data.LOCKSTEP_PORT,
    tls: tlsOf(data),
    grpcPort: data.LOCKSTEP_GRPC_PORT ?? null,
    grpcMaxStreams: data.LOCKSTEP_GRPC_MAX_STREAMS,
    grpcMaxConnections: data.LOCKSTEP_GRPC_MAX_CONNECTIONS ?? null,
    bodyLimitBytes: data.LOCKSTEP_BODY_LIMIT_BYTES,
    corsOrigins: data.LOCKSTEP_CORS_ORIGINS ?? [],
    futureMicros: data.LOCKSTEP_FUTURE_SECONDS * 1_000_000,
    logShares: data.LOCKSTEP_LOG_PREDICTIONS,
    logRetentionDays: data.LOCKSTEP_LOG_RETENTION_DAYS,
    parityPerMinute: data.LOCKSTEP_PARITY_PER_MINUTE,
    rollups: data.LOCKSTEP_ROLLUPS === 'off' ? null : { rowsPerSecond: data.LOCKSTEP_ROLLUP_ROWS },
    rollupDays: data.LOCKSTEP_ROLLUP_DAYS,
    logLevel: data.LOCKSTEP_LOG_LEVEL,
    auditRetentionDays: data.LOCKSTEP_AUDIT_RETENTION_DAYS,
    evidenceRetentionDays: data.LOCKSTEP_EVIDENCE_RETENTION_DAYS,
    signingKeys: signingKeysOf(data.LOCKSTEP_SIGNING_KEY),
    auth: data.LOCKSTEP_AUTH,
    requestTimeoutMs: data.LOCKSTEP_REQUEST_TIMEOUT_MS,
    staleSeconds: data.LOCKSTEP_STALE_SECONDS,
    staleMegabytes: data.LOCKSTEP_STALE_MB,
    rateLimitFallback: data.LOCKSTEP_RATE_LIMIT_FALLBACK,
    metricsAuth: data.LOCKSTEP_METRICS_AUTH,
    metricsPort: data.LOCKSTEP_METRICS_PORT ?? null,
    metricsHost: data.LOCKSTEP_METRICS_HOST,
    maxInFlight: data.LOCKSTEP_MAX_IN_FLIGHT,
    maxInFlightPerKey: data.LOCKSTEP_MAX_IN_FLIGHT_PER_KEY ?? null,
    accessLogShare: data.LOCKSTEP_ACCESS_LOG,
    shutdownDelayMs: data.LOCKSTEP_SHUTDOWN_DELAY_MS,
    watchdogSeconds: data.LOCKSTEP_WATCHDOG_SECONDS ?? null,
    defaultMonitors: data.LOCKSTEP_DEFAULT_MONITORS === 'on',
    alertPrivateAddresses: data.LOCKSTEP_ALERT_PRIVATE_ADDRESSES === 'allow',
    traces,
    ui: uiSettings(data),
  }
}

function tlsOf({ LOCKSTEP_TLS_CERT: cert, LOCKSTEP_TLS_KEY: key }: Variables): TlsFiles | null {
  return cert === undefined || key === undefined ? null : { cert: resolve(cert), key: resolve(key) }
}

function signingKeysOf([first, ...more]: readonly string[] = []): Config['signingKeys'] {
  return first === undefined ? null : [first, ...more]
}
