/**
 * The settings of a project, as `lockstep.config.ts` exports them. Environment variables and the file `.env` override
 * them: `postgresUrl` is `LOCKSTEP_POSTGRES_URL` there. docs/configuration.md explains each.
 */
export interface LockstepConfig {
  /** The definitions file of `plan`, `apply` and `dev`. Default: `features.ts`. */
  readonly definitions?: string
  /** PostgreSQL, as `postgres://user:password@host:5432/database`. Default: the embedded database. */
  readonly postgresUrl?: string | undefined
  /** Redis, as `redis://:password@host:6379`, or in another form. Default: the embedded store. */
  readonly redisUrl?: string | undefined
  /** Which nodes of a Redis Cluster answer feature reads. Default: `primary`. */
  readonly redisReads?: 'primary' | 'replica'
  /** The prefix of every key in Redis. Default: `lockstep`. */
  readonly redisPrefix?: string
  /** The Redis whose streams feed sources. Default: `redisUrl`. */
  readonly streamRedisUrl?: string | undefined
  /** The NATS server whose streams feed sources. */
  readonly natsUrl?: string | undefined
  /** The Kafka brokers whose topics feed sources, as `kafka://host:9092,host:9092`. */
  readonly kafkaUrl?: string | undefined
  /** The schema registry of streams in Avro, as `https://user:password@host:8081`. */
  readonly schemaRegistryUrl?: string | undefined
  /** The bearer token for the schema registry. A secret: keep it out of the file. */
  readonly schemaRegistryToken?: string | undefined
  /** How far back rows are re-materialized after a failover of Redis, seconds. Default: 3600. */
  readonly replaySeconds?: number
  /** The folder of the embedded database and store. Default: `.lockstep`. */
  readonly dir?: string
  /** The server to which commands are sent, as `https://features.example`. Default: none, they use the database. */
  readonly server?: string | undefined
  /** How long that server may send nothing until it is asked whether it lives, seconds. Default: 30. */
  readonly serverSilenceSeconds?: number | undefined
  /** The API key for that server. A secret: keep it out of the file. */
  readonly apiKey?: string | undefined
  /** The folder of uploads and of training sets that servers make. Default: `files` in `dir`. */
  readonly filesDir?: string
  /** The folder of the programs that trainings may run in this process. Default: none, it runs none. */
  readonly trainers?: string | undefined
  /** How many training sets of each training are kept, beside those of model versions. Default: 10. */
  readonly trainingSets?: number
  /** The maximum size of all uploads together, megabytes. Default: 10240. */
  readonly uploadMb?: number
  /** The address that the server listens on. Default: `127.0.0.1`. */
  readonly host?: string
  /** The HTTP port; 0: any free port. Default: 8080. */
  readonly port?: number
  /** The PEM file of the certificate. */
  readonly tlsCert?: string
  /** The PEM file of the certificate's private key. */
  readonly tlsKey?: string
  /** The gRPC port; 0: any free port. Default: no gRPC. */
  readonly grpcPort?: number
  /** The maximum concurrent gRPC calls of one connection. Default: 100. */
  readonly grpcMaxStreams?: number
  /** The maximum open gRPC connections. Default: a quarter of the file descriptor limit. */
  readonly grpcMaxConnections?: number
  /** The maximum size of a request body, bytes. Default: 1048576. */
  readonly bodyLimitBytes?: number
  /** Web origins whose pages may call the server, such as `https://app.example`. Default: none. */
  readonly corsOrigins?: string | readonly string[]
  /** How far in the future the times of pushed events may lie, seconds. Default: 600. */
  readonly futureSeconds?: number
  /** The share of requests whose predictions are logged, as `0.01` or `'0.01,delay=1'`. Default: 0. */
  readonly logPredictions?: number | string
  /** How long logged predictions are kept, days. Default: 30. */
  readonly logRetentionDays?: number
  /** How many logged predictions a server checks against the history each minute. Default: 0. */
  readonly parityPerMinute?: number
  readonly rollups?: 'on' | 'off'
  readonly rollupRows?: number
  readonly rollupDays?: string
  /** Default: `info`. */
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
  /** How long the audit log is kept, days. Default: 365. */
  readonly auditRetentionDays?: number
  /** How long the exposures of ended experiments and the counts of ended rollouts are kept, days. Default: 365. */
  readonly evidenceRetentionDays?: number
  /** The keys that sign definitions and models: the first signs, all verify. A secret: keep it out of the file. */
  readonly signingKey?: string | readonly string[] | undefined
  /** Whether requests need an API key. Default: `auto`. */
  readonly auth?: 'auto' | 'required' | 'off'
  /** The maximum time for a request, milliseconds. Default: 30000. */
  readonly requestTimeoutMs?: number
  /** The maximum age of states that answer while the online store is down, seconds. Default: 0. */
  readonly staleSeconds?: number
  /** The memory for these states, megabytes. Default: 64. */
  readonly staleMb?: number
  /** How rate limits work while Redis is down. Default: `local`. */
  readonly rateLimitFallback?: 'local' | 'open' | 'closed'
  /** Whether `/metrics` needs an API key. Default: `off`. */
  readonly metricsAuth?: 'off' | 'required'
  /** A separate port for metrics. Default: the port of the server. */
  readonly metricsPort?: number
  /** The address of that port. Default: `127.0.0.1`. */
  readonly metricsHost?: string
  /** The maximum number of requests in flight. Default: 1024. */
  readonly maxInFlight?: number
  /** The same for one API key. Default: three quarters of `maxInFlight`. */
  readonly maxInFlightPerKey?: number
  /** The share of requests that are written to the log, 0 to 1. Default: 0. */
  readonly accessLog?: number
  /** How long the server keeps answering after SIGTERM, milliseconds. Default: 0. */
  readonly shutdownDelayMs?: number
  /** After how many seconds with a blocked event loop a process is killed; 0: never. Default: 30. */
  readonly watchdogSeconds?: number
  /** Whether models and online views have monitors that nobody declared. Default: `on`. */
  readonly defaultMonitors?: 'on' | 'off'
  /** Whether alerts may be sent to private addresses. Default: `refuse`. */
  readonly alertPrivateAddresses?: 'refuse' | 'allow'
  readonly ui?: 'auto' | 'on' | 'off'
  readonly uiListen?: string
  readonly uiReadonly?: 'true' | 'false'
  readonly uiInsecure?: 'true' | 'false'
  readonly publicUrl?: string
}

/**
 * Types the configuration of a project. Write in `lockstep.config.ts`:
 *
 * ```ts
 * import { defineConfig } from 'lockstep'
 *
 * export default defineConfig({ definitions: 'src/features.ts', port: 8081 })
 * ```
 */
export function defineConfig(config: LockstepConfig): LockstepConfig {
  return config
}
