import { join, resolve } from 'node:path'
import { z } from 'zod'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { nearest } from '../kernel/did-you-mean.ts'
import type { LogShares } from './settings/log-shares.ts'
import { logNothing, parseLogShares } from './settings/log-shares.ts'
import type { LogLevel } from './log.ts'
import { parseRedisUrl } from './redis/redis-url.ts'
import type { ConfigFile } from './settings/settings-files.ts'
import { fileVariable, isFileVariable, secretIn, secretVariables } from './settings/secret-files.ts'
import { address, integer, kafkaUrl, postgresUrl, redisUrl, url, webOrigins } from './settings/setting-schemas.ts'
import { registryUser } from './streams/schema-registry.ts'
import { envFile, readConfigFile, readEnvFile } from './settings/settings-files.ts'
import type { TlsFiles } from './tls-pair.ts'
import type { TraceSettings } from './tracing/trace-settings.ts'
import { readTraceSettings } from './tracing/trace-settings.ts'
import type { UiSettings } from './settings/ui-settings.ts'
import { uiSettings, uiVariables } from './settings/ui-settings.ts'

// Every process of Lockstep runs in UTC, because a transform's use of Date must not depend on the machine's time zone.
process.env['TZ'] = 'UTC'

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
  /** What every key in Redis starts with. */
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
  readonly rollupDays: { readonly minute: number; readonly hour: number; readonly day: number }
  readonly logLevel: LogLevel
  /** For how many days the audit log is kept. */
  readonly auditRetentionDays: number
  /**
   * The signing keys of definitions and models. The first key signs, and all keys verify. null: no signatures. Never
   * print them.
   */
  readonly signingKeys: readonly [string, ...string[]] | null
  /**
   * Whether requests need an API key: always, never, or if a key was ever created or other machines can reach the
   * server.
   */
  readonly auth: Auth
  /** The deadline of requests that state none, milliseconds. */
  readonly requestTimeoutMs: number
  /**
   * The maximum age of stale states that are served while the online store is unavailable, seconds; 0: none are served.
   */
  readonly staleSeconds: number
  /** The memory for stale states, megabytes. */
  readonly staleMegabytes: number
  /** The handling of API key limits while the Redis that shares them is unavailable. */
  readonly rateLimitFallback: RateLimitFallback
  /** Whether `/metrics` needs an API key. */
  readonly metricsAuth: MetricsAuth
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

type Auth = (typeof auths)[number]
type MetricsAuth = (typeof metricsAuths)[number]
type RateLimitFallback = (typeof rateLimitFallbacks)[number]

export type RedisReads = (typeof redisReads)[number]

const onOff = ['on', 'off'] as const
const rateLimitFallbacks = ['local', 'open', 'closed'] as const
const metricsAuths = ['off', 'required'] as const
const auths = ['auto', 'required', 'off'] as const
const redisReads = ['primary', 'replica'] as const
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const satisfies readonly LogLevel[]
/** The length of a 32-byte key in base64. */
const minSigningKey = 32
const maxReplaySeconds = 31_536_000
const maxBodyBytes = 1024 ** 3

/** Every variable with its valid values and its default. */
export const variables = z.object({
  LOCKSTEP_DEFINITIONS: z.string().default('features.ts'),
  LOCKSTEP_POSTGRES_URL: postgresUrl.optional(),
  LOCKSTEP_REDIS_URL: redisUrl.optional(),
  LOCKSTEP_REDIS_READS: z.enum(redisReads, `one of ${redisReads.join(', ')}`).default('primary'),
  LOCKSTEP_STREAM_REDIS_URL: redisUrl.optional(),
  LOCKSTEP_NATS_URL: url(['nats:', 'tls:'], 'nats://user:password@host:4222').optional(),
  LOCKSTEP_KAFKA_URL: kafkaUrl.optional(),
  LOCKSTEP_SCHEMA_REGISTRY_URL: url(['http:', 'https:'], 'https://user:password@host:8081')
    .refine((text) => registryUser(text) !== null, 'a URL whose user and password have %25 for each "%"')
    .optional(),
  LOCKSTEP_SCHEMA_REGISTRY_TOKEN: z
    .string()
    .trim()
    .regex(/^[\x21-\x7E]+$/, 'a token without spaces and line breaks, of ASCII characters')
    .optional(),
  LOCKSTEP_REPLAY_SECONDS: integer(0, maxReplaySeconds).default(3600),
  LOCKSTEP_REDIS_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,64}$/, '1 to 64 letters, digits, or the signs _ . : -')
    .default('lockstep'),
  LOCKSTEP_DIR: z.string().default('.lockstep'),
  LOCKSTEP_FILES_DIR: z.string().optional(),
  LOCKSTEP_TRAINERS: z.string().optional(),
  LOCKSTEP_TRAINING_SETS: integer(1, 1_000_000).default(10),
  LOCKSTEP_UPLOAD_MB: integer(1, 100_000_000).default(10_240),
  LOCKSTEP_SERVER: url(['http:', 'https:'], 'https://features.example:8080').optional(),
  LOCKSTEP_SERVER_SILENCE_SECONDS: integer(1, 3600).default(30),
  LOCKSTEP_API_KEY: z
    .string()
    .regex(/^[!-~]+$/, 'an API key, as "lockstep keys create" prints it')
    .optional(),
  LOCKSTEP_HOST: address.default('127.0.0.1'),
  LOCKSTEP_PORT: integer(0, 65_535).default(8080),
  LOCKSTEP_TLS_CERT: z.string().optional(),
  LOCKSTEP_TLS_KEY: z.string().optional(),
  LOCKSTEP_GRPC_PORT: integer(0, 65_535).optional(),
  LOCKSTEP_GRPC_MAX_STREAMS: integer(1, 100_000).default(100),
  LOCKSTEP_GRPC_MAX_CONNECTIONS: integer(1, 1_000_000).optional(),
  LOCKSTEP_BODY_LIMIT_BYTES: integer(1, maxBodyBytes).default(1024 ** 2),
  LOCKSTEP_CORS_ORIGINS: webOrigins.optional(),
  LOCKSTEP_FUTURE_SECONDS: integer(0, 10 * 365 * 86_400).default(600),
  LOCKSTEP_LOG_PREDICTIONS: z
    .string()
    .refine((text) => parseLogShares(text) !== null, 'a share from 0 to 1, optionally with shares for models, such as 0.01 or 0.01,delay=1')
    .default('0'),
  LOCKSTEP_LOG_RETENTION_DAYS: integer(1, 3650).default(30),
  LOCKSTEP_PARITY_PER_MINUTE: integer(0, 1000).default(0),
  LOCKSTEP_ROLLUPS: z.enum(onOff, 'on or off').default('on'),
  LOCKSTEP_ROLLUP_ROWS: integer(0, 1_000_000).default(100),
  LOCKSTEP_ROLLUP_DAYS: z
    .string()
    .refine(
      (text) => rollupDays(text) !== null,
      'days to keep minutes, hours and days, each 2 to 36500 and none less than the one before, such as 7,90,730',
    )
    .default('7,90,730'),
  LOCKSTEP_LOG_LEVEL: z.enum(logLevels, `one of ${logLevels.join(', ')}`).default('info'),
  LOCKSTEP_AUDIT_RETENTION_DAYS: integer(1, 36_500).default(365),
  LOCKSTEP_SIGNING_KEY: z
    .string()
    .transform((text) => text.split(',').map((key) => key.trim()))
    .refine(
      (keys) => keys.every((key) => key.length >= minSigningKey),
      `a secret of ${minSigningKey} characters or more, or several, separated by commas`,
    )
    .optional(),
  LOCKSTEP_AUTH: z.enum(auths, `one of ${auths.join(', ')}`).default('auto'),
  LOCKSTEP_REQUEST_TIMEOUT_MS: integer(1, 3_600_000).default(30_000),
  LOCKSTEP_STALE_SECONDS: integer(0, 86_400).default(0),
  LOCKSTEP_STALE_MB: integer(1, 65_536).default(64),
  LOCKSTEP_RATE_LIMIT_FALLBACK: z.enum(rateLimitFallbacks, `one of ${rateLimitFallbacks.join(', ')}`).default('local'),
  LOCKSTEP_METRICS_AUTH: z.enum(metricsAuths, `one of ${metricsAuths.join(', ')}`).default('off'),
  LOCKSTEP_METRICS_PORT: integer(1, 65_535).optional(),
  LOCKSTEP_METRICS_HOST: address.default('127.0.0.1'),
  LOCKSTEP_MAX_IN_FLIGHT: integer(1, 100_000).default(1024),
  LOCKSTEP_MAX_IN_FLIGHT_PER_KEY: integer(1, 100_000).optional(),
  LOCKSTEP_ACCESS_LOG: z
    .string()
    .regex(/^(0|1|0?\.\d{1,9})$/, 'a share from 0 to 1, such as 0.01')
    .transform(Number)
    .default(0),
  LOCKSTEP_SHUTDOWN_DELAY_MS: integer(0, 10_000).default(0),
  LOCKSTEP_WATCHDOG_SECONDS: integer(0, 3600).optional(),
  LOCKSTEP_DEFAULT_MONITORS: z.enum(onOff, 'on or off').default('on'),
  LOCKSTEP_ALERT_PRIVATE_ADDRESSES: z.enum(['refuse', 'allow'], 'one of refuse, allow').default('refuse'),
  ...uiVariables,
})

/** A configuration, and where each setting in it that is not a default comes from. */
export interface Settings {
  readonly config: Config
  /** By variable: `environment`, or the name of a file. */
  readonly origins: ReadonlyMap<string, string>
  /** Variables that name a PostgreSQL for other programs. Lockstep does not read them. */
  readonly elsewhere: readonly string[]
}

/** What one place says: texts by variable. */
interface Place {
  readonly name: string
  readonly given: Readonly<Record<string, string | undefined>>
}

const environment = 'environment'
const begin = 'LOCKSTEP_'
const names = Object.keys(variables.shape)

/**
 * Reads the settings: environment variables, then the file `.env` of the folder, then its `lockstep.config.ts`, then
 * defaults. The first that names a setting wins. An empty value counts as absent, and hides the places below it. Other
 * variables of `.env` become environment variables, so that the configuration file can use them.
 *
 * @throws LockstepError `CONFIG_INVALID`, as `loadConfig`, and for files that cannot be read
 */
export async function loadSettings(folder = process.cwd(), env: NodeJS.ProcessEnv = process.env): Promise<Settings> {
  const own = { ...env }
  const inFile = readEnvFile(folder) ?? {}
  const misspelt = Object.keys(inFile).filter((name) => !name.startsWith(begin) && nearest(name.replace(/_.*/, '_'), [begin]) !== null)
  if (misspelt.length > 0)
    throw notValid(misspelt.map((name) => `"${name}" (${envFile}) is not a setting (${hint(nearest(name, names) ?? `${begin}…`)})`))
  for (const [name, value] of Object.entries(inFile)) if (!name.startsWith(begin)) env[name] ??= value
  const file = await readConfigFile(folder)
  return settingsOf([{ name: environment, given: own }, { name: envFile, given: inFile }, ...(file === null ? [] : [placeOf(file)])])
}

/**
 * Reads the configuration of environment variables alone. An empty variable counts as absent. An unknown variable that
 * starts with LOCKSTEP_ is an error, because it is probably misspelt. LOCKSTEP_TEST_… variables belong to the tests and
 * are ignored.
 *
 * @throws LockstepError `CONFIG_INVALID`, which names every invalid setting with its place, and its value unless it may
 *   contain a password
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  return settingsOf([{ name: environment, given: env }]).config
}

/**
 * Reads a secret that a definition names, from the variable of that name or the file that `NAME_FILE` names; null:
 * neither is set. Variables of Lockstep itself are never read.
 *
 * @throws LockstepError `CONFIG_INVALID` where both are set, or the file is empty or cannot be read
 */
export function readSecret(name: string): string | null {
  return name.startsWith(begin) ? null : secretIn(process.env, name)
}

/** Reads a variable of another tool; null: it is not set. */
export function readVariable(name: string): string | null {
  return process.env[name] || null
}

/** The key of a setting in `lockstep.config.ts`: `postgresUrl` of `LOCKSTEP_POSTGRES_URL`. */
function configKey(variable: string): string {
  return variable
    .slice(begin.length)
    .toLowerCase()
    .replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** The texts of a configuration file, under the names of variables. */
function placeOf({ name: file, values }: ConfigFile): Place {
  const known = new Map(names.map((name) => [configKey(name), name]))
  const problems: string[] = []
  const given: Record<string, string> = {}
  for (const [key, value] of Object.entries(values)) {
    const name = known.get(key)
    const text = textOf(value)
    if (name === undefined) problems.push(`"${key}" (${file}) is not a setting (${hint(nearest(key, known.keys()))})`)
    else if (text === null) problems.push(`"${key}" (${file}) must be a text, a number, or a list of texts`)
    else if (text !== undefined) given[name] = text
  }
  if (problems.length > 0) throw notValid(problems)
  return { name: file, given }
}

/** undefined: absent; null: not a value of a setting. */
function textOf(value: unknown): string | null | undefined {
  if (typeof value === 'number') return String(value)
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value.join(',')
  return typeof value === 'string' || value === undefined ? value : null
}

function settingsOf(places: readonly Place[]): Settings {
  const given: Record<string, string> = {}
  const origins = new Map<string, string>()
  const problems: string[] = []
  for (const { name: place, given: texts } of places) {
    for (const name of secretVariables) {
      const path = texts[fileVariable(name)]
      if (path === undefined || origins.has(name)) continue
      origins.set(name, path === '' ? place : resolve(path))
      given[name] = secretOf(texts, name, problems)
    }
    for (const [name, text] of Object.entries(texts)) {
      const isOther = !name.startsWith(begin) || name.startsWith('LOCKSTEP_TEST_') || isFileVariable(name)
      if (isOther || text === undefined || origins.has(name)) continue
      origins.set(name, place)
      given[name] = text
    }
  }
  for (const name of origins.keys()) {
    if (given[name] !== '') continue
    delete given[name]
    origins.delete(name)
  }
  const elsewhere = ['DATABASE_URL', 'POSTGRES_URL', 'PGHOST', 'PGDATABASE'].filter((name) => places.some((place) => place.given[name]))
  const otel = places.reduceRight<Place['given']>((all, place) => ({ ...all, ...place.given }), {})
  return { config: configOf(given, origins, otel, problems), origins, elsewhere }
}

/** A place's secret, or an empty text and a problem. */
function secretOf(place: Place['given'], name: string, problems: string[]): string {
  try {
    return secretIn(place, name) ?? ''
  } catch (error) {
    problems.push(messageOf(error).replace(/\.$/, ''))
    return ''
  }
}

/**
 * @param otel the variables of OpenTelemetry, which have no keys in `lockstep.config.ts`
 * @param problems those that were found before
 */
function configOf(
  given: Readonly<Record<string, string>>,
  origins: ReadonlyMap<string, string>,
  otel: Place['given'],
  problems: string[],
): Config {
  const label = (name: string): string => {
    const origin = origins.get(name) ?? environment
    if (origin === environment) return `"${name}"`
    return origin.startsWith('lockstep.config.') ? `"${configKey(name)}" (${origin})` : `"${name}" (${origin})`
  }
  for (const name of Object.keys(given))
    if (!names.includes(name)) problems.push(`${label(name)} is not a setting (${hint(nearestVariable(name))})`)
  const parsed = variables.safeParse(given)
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0])
    problems.push(`${label(name)} is ${shown(name, given[name])}; it must be ${issue.message}`)
  }
  if (parsed.data?.LOCKSTEP_REDIS_READS === 'replica' && parseRedisUrl(parsed.data.LOCKSTEP_REDIS_URL ?? '')?.kind !== 'cluster')
    problems.push(
      `${label('LOCKSTEP_REDIS_READS')} is "replica", which needs a cluster: set LOCKSTEP_REDIS_URL to redis+cluster://host:6379`,
    )
  const { LOCKSTEP_TLS_CERT: cert, LOCKSTEP_TLS_KEY: key } = given
  if ((cert === undefined) !== (key === undefined))
    problems.push(
      `"${cert === undefined ? 'LOCKSTEP_TLS_CERT' : 'LOCKSTEP_TLS_KEY'}" is missing: set both LOCKSTEP_TLS_CERT and LOCKSTEP_TLS_KEY, or neither`,
    )
  const traces = readTraceSettings(otel, problems)
  if (!parsed.success || problems.length > 0) throw notValid(problems)
  const { data } = parsed
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
    tls: cert === undefined || key === undefined ? null : { cert: resolve(cert), key: resolve(key) },
    grpcPort: data.LOCKSTEP_GRPC_PORT ?? null,
    grpcMaxStreams: data.LOCKSTEP_GRPC_MAX_STREAMS,
    grpcMaxConnections: data.LOCKSTEP_GRPC_MAX_CONNECTIONS ?? null,
    bodyLimitBytes: data.LOCKSTEP_BODY_LIMIT_BYTES,
    corsOrigins: data.LOCKSTEP_CORS_ORIGINS ?? [],
    futureMicros: data.LOCKSTEP_FUTURE_SECONDS * 1_000_000,
    logShares: parseLogShares(data.LOCKSTEP_LOG_PREDICTIONS) ?? logNothing,
    logRetentionDays: data.LOCKSTEP_LOG_RETENTION_DAYS,
    parityPerMinute: data.LOCKSTEP_PARITY_PER_MINUTE,
    rollups: data.LOCKSTEP_ROLLUPS === 'off' ? null : { rowsPerSecond: data.LOCKSTEP_ROLLUP_ROWS },
    rollupDays: rollupDays(data.LOCKSTEP_ROLLUP_DAYS) ?? { minute: 7, hour: 90, day: 730 },
    logLevel: data.LOCKSTEP_LOG_LEVEL,
    auditRetentionDays: data.LOCKSTEP_AUDIT_RETENTION_DAYS,
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

function rollupDays(text: string): Config['rollupDays'] | null {
  const [minute, hour, day, ...more] = text.split(',').map((part) => (/^ *\d{1,5} *$/.test(part) ? Number(part) : Number.NaN))
  if (minute === undefined || hour === undefined || day === undefined || more.length > 0) return null
  return minute >= 2 && hour >= minute && day >= hour && day <= 36_500 ? { minute, hour, day } : null
}

/** Names differ behind their common beginning. `PREFIX` is meant to be the only name that has this word. */
function nearestVariable(name: string): string | null {
  const words = name.slice(begin.length)
  const known = names.map((each) => each.slice(begin.length))
  const having = known.filter((each) => `_${each}_`.includes(`_${words}_`))
  const meant = nearest(words, known) ?? (having.length === 1 ? having[0] : undefined)
  return meant === undefined ? null : `${begin}${meant}`
}

function hint(meant: string | null): string {
  return meant === null ? 'docs/configuration.md lists them' : `did you mean "${meant}"?`
}

function notValid(problems: readonly string[]): LockstepError {
  return new LockstepError('CONFIG_INVALID', `The settings are not valid: ${problems.join('; ')}.`, { details: { problems } })
}

function signingKeysOf([first, ...more]: readonly string[] = []): Config['signingKeys'] {
  return first === undefined ? null : [first, ...more]
}

function shown(name: string, value: string | undefined): string {
  return /_(URL|SERVER|TOKEN|(SIGNING|TLS|API)_KEY)$/.test(name) ? 'something else (not shown: it may hold a secret)' : `"${value}"`
}
