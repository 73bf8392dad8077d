import { z } from 'zod'
import { registryUser } from '../streams/schema-registry.ts'
import { logNothing, parseLogShares } from './log-shares.ts'
import { address, integer, kafkaUrl, oneOf, parsedBy, postgresUrl, redisUrl, url, webOrigins } from './setting-schemas.ts'
import { uiVariables } from './ui-settings.ts'

/** The length of a 32-byte key in base64. */
const minSigningKey = 32
const maxReplaySeconds = 31_536_000
const maxBodyBytes = 1024 ** 3
const onOff = z.enum(['on', 'off'], 'on or off')

/** Every variable with its valid values and its default. */
export const variables = z.object({
  LOCKSTEP_DEFINITIONS: z.string().default('features.ts'),
  LOCKSTEP_POSTGRES_URL: postgresUrl.optional(),
  LOCKSTEP_REDIS_URL: redisUrl.optional(),
  LOCKSTEP_REDIS_READS: oneOf('primary', 'replica').default('primary'),
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
  LOCKSTEP_LOG_PREDICTIONS: parsedBy(
    parseLogShares,
    'a share from 0 to 1, optionally with shares for models, such as 0.01 or 0.01,delay=1',
  ).default(logNothing),
  LOCKSTEP_LOG_RETENTION_DAYS: integer(1, 3650).default(30),
  LOCKSTEP_PARITY_PER_MINUTE: integer(0, 1000).default(0),
  LOCKSTEP_ROLLUPS: onOff.default('on'),
  LOCKSTEP_ROLLUP_ROWS: integer(0, 1_000_000).default(100),
  LOCKSTEP_ROLLUP_DAYS: parsedBy(
    parseRollupDays,
    'days to keep minutes, hours and days, each 2 to 36500 and none less than the one before, such as 7,90,730',
  ).default({ minute: 7, hour: 90, day: 730 }),
  LOCKSTEP_LOG_LEVEL: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent').default('info'),
  LOCKSTEP_AUDIT_RETENTION_DAYS: integer(1, 36_500).default(365),
  LOCKSTEP_EVIDENCE_RETENTION_DAYS: integer(1, 36_500).default(365),
  LOCKSTEP_SIGNING_KEY: z
    .string()
    .transform((text) => text.split(',').map((key) => key.trim()))
    .refine(
      (keys) => keys.every((key) => key.length >= minSigningKey),
      `a secret of ${minSigningKey} characters or more, or several, separated by commas`,
    )
    .optional(),
  LOCKSTEP_AUTH: oneOf('auto', 'required', 'off').default('auto'),
  LOCKSTEP_REQUEST_TIMEOUT_MS: integer(1, 3_600_000).default(30_000),
  LOCKSTEP_STALE_SECONDS: integer(0, 86_400).default(0),
  LOCKSTEP_STALE_MB: integer(1, 65_536).default(64),
  LOCKSTEP_RATE_LIMIT_FALLBACK: oneOf('local', 'open', 'closed').default('local'),
  LOCKSTEP_METRICS_AUTH: oneOf('off', 'required').default('off'),
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
  LOCKSTEP_DEFAULT_MONITORS: onOff.default('on'),
  LOCKSTEP_ALERT_PRIVATE_ADDRESSES: oneOf('refuse', 'allow').default('refuse'),
  ...uiVariables,
})

export type Variables = z.output<typeof variables>

/** How many days rollups are kept, by their step. */
export interface RollupDays {
  readonly minute: number
  readonly hour: number
  readonly day: number
}

/** Parses `7,90,730`; null: not valid. */
function parseRollupDays(text: string): RollupDays | null {
  const [minute, hour, day, ...more] = text.split(',').map((part) => (/^ *\d{1,5} *$/.test(part) ? Number(part) : Number.NaN))
  if (minute === undefined || hour === undefined || day === undefined || more.length > 0) return null
  return minute >= 2 && hour >= minute && day >= hour && day <= 36_500 ? { minute, hour, day } : null
}
