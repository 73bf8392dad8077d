import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../runtime/config.ts'
import { variables } from '../../runtime/settings/variables.ts'
import { secretVariables } from '../../runtime/settings/secret-files.ts'

function failure(env: Record<string, string>): string {
  try {
    loadConfig(env)
  } catch (error) {
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    return String(error)
  }
  throw new Error('The configuration was taken.')
}

describe('the configuration', () => {
  it('takes an IPv6 address to listen on with brackets and without', () => {
    expect(loadConfig({ LOCKSTEP_HOST: '[::1]', LOCKSTEP_METRICS_HOST: '::' })).toMatchObject({ host: '::1', metricsHost: '::' })
  })

  it('is embedded on this machine by default', () => {
    const defaults = {
      definitions: resolve('features.ts'),
      postgresUrl: null,
      redisUrl: null,
      redisReads: 'primary',
      streamRedisUrl: null,
      natsUrl: null,
      kafkaUrl: null,
      schemaRegistryUrl: null,
      schemaRegistryToken: null,
      replaySeconds: 3600,
      redisPrefix: 'lockstep',
      directory: resolve('.lockstep'),
      filesDirectory: resolve('.lockstep/files'),
      trainers: null,
      trainingSets: 10,
      uploadLimitBytes: 10 * 2 ** 30,
      server: null,
      serverSilenceMs: 30_000,
      apiKey: null,
      host: '127.0.0.1',
      port: 8080,
      tls: null,
      grpcPort: null,
      grpcMaxStreams: 100,
      grpcMaxConnections: null,
      bodyLimitBytes: 1_048_576,
      corsOrigins: [],
      futureMicros: 600_000_000,
      logShares: { share: 0, models: new Map() },
      logRetentionDays: 30,
      parityPerMinute: 0,
      rollups: { rowsPerSecond: 100 },
      rollupDays: { minute: 7, hour: 90, day: 730 },
      logLevel: 'info',
      auditRetentionDays: 365,
      evidenceRetentionDays: 365,
      signingKeys: null,
      auth: 'auto',
      requestTimeoutMs: 30_000,
      staleSeconds: 0,
      staleMegabytes: 64,
      rateLimitFallback: 'local',
      metricsAuth: 'off',
      metricsPort: null,
      metricsHost: '127.0.0.1',
      maxInFlight: 1024,
      maxInFlightPerKey: null,
      accessLogShare: 0,
      shutdownDelayMs: 0,
      watchdogSeconds: null,
      defaultMonitors: true,
      alertPrivateAddresses: false,
      traces: null,
      ui: { mode: 'auto', listen: null, readOnly: false, insecure: false, publicUrl: null },
    }
    expect(loadConfig({})).toEqual(defaults)
    expect(loadConfig({ PATH: '/bin', LOCKSTEP_PORT: '', LOCKSTEP_TEST_POSTGRES_URL: 'anything' })).toEqual(defaults)
  })

  it('reads every variable', () => {
    expect(
      loadConfig({
        LOCKSTEP_DEFINITIONS: '/srv/features.ts',
        LOCKSTEP_POSTGRES_URL: 'postgresql://somebody@localhost/flights?host=/run/postgresql',
        LOCKSTEP_REDIS_URL: 'rediss+cluster://:secret@cache:6380,[::1]:6381',
        LOCKSTEP_REDIS_READS: 'replica',
        LOCKSTEP_NATS_URL: 'nats://token@events:4222',
        LOCKSTEP_KAFKA_URL: 'kafkas://u:p@a:9093,b?sasl=scram-sha-256',
        LOCKSTEP_SCHEMA_REGISTRY_URL: 'https://u:p@a:8081',
        LOCKSTEP_SCHEMA_REGISTRY_TOKEN: 't',
        LOCKSTEP_REPLAY_SECONDS: '60',
        LOCKSTEP_REDIS_PREFIX: 'team:a',
        LOCKSTEP_DIR: '/var/lib/lockstep',
        LOCKSTEP_FILES_DIR: '/srv/files',
        LOCKSTEP_TRAINERS: '/srv/trainers',
        LOCKSTEP_TRAINING_SETS: '3',
        LOCKSTEP_UPLOAD_MB: '100',
        LOCKSTEP_SERVER: 'https://features.example',
        LOCKSTEP_SERVER_SILENCE_SECONDS: '5',
        LOCKSTEP_API_KEY: 'lockstep_sk_1',
        LOCKSTEP_HOST: '0.0.0.0',
        LOCKSTEP_PORT: '0',
        LOCKSTEP_TLS_CERT: '/etc/lockstep/tls.crt',
        LOCKSTEP_TLS_KEY: '/etc/lockstep/tls.key',
        LOCKSTEP_GRPC_PORT: '8081',
        LOCKSTEP_GRPC_MAX_STREAMS: '50',
        LOCKSTEP_GRPC_MAX_CONNECTIONS: '200',
        LOCKSTEP_BODY_LIMIT_BYTES: '1000',
        LOCKSTEP_CORS_ORIGINS: 'https://app.example, http://localhost:3000',
        LOCKSTEP_FUTURE_SECONDS: '0',
        LOCKSTEP_LOG_PREDICTIONS: '0.01, delay=1',
        LOCKSTEP_LOG_RETENTION_DAYS: '7',
        LOCKSTEP_PARITY_PER_MINUTE: '20',
        LOCKSTEP_ROLLUP_ROWS: '50',
        LOCKSTEP_ROLLUP_DAYS: '2, 30,365',
        LOCKSTEP_LOG_LEVEL: 'debug',
        LOCKSTEP_AUDIT_RETENTION_DAYS: '30',
        LOCKSTEP_EVIDENCE_RETENTION_DAYS: '90',
        LOCKSTEP_SIGNING_KEY: `${'n'.repeat(32)}, ${'o'.repeat(32)}`,
        LOCKSTEP_AUTH: 'off',
        LOCKSTEP_REQUEST_TIMEOUT_MS: '500',
        LOCKSTEP_STALE_SECONDS: '120',
        LOCKSTEP_STALE_MB: '8',
        LOCKSTEP_RATE_LIMIT_FALLBACK: 'closed',
        LOCKSTEP_METRICS_AUTH: 'required',
        LOCKSTEP_METRICS_PORT: '9091',
        LOCKSTEP_METRICS_HOST: '10.0.0.1',
        LOCKSTEP_MAX_IN_FLIGHT: '64',
        LOCKSTEP_MAX_IN_FLIGHT_PER_KEY: '20',
        LOCKSTEP_ACCESS_LOG: '0.01',
        LOCKSTEP_SHUTDOWN_DELAY_MS: '5000',
        LOCKSTEP_WATCHDOG_SECONDS: '60',
        LOCKSTEP_DEFAULT_MONITORS: 'off',
        LOCKSTEP_ALERT_PRIVATE_ADDRESSES: 'allow',
        LOCKSTEP_UI: 'on',
        LOCKSTEP_UI_LISTEN: '[::1]:9090',
        LOCKSTEP_UI_READONLY: 'true',
        LOCKSTEP_UI_INSECURE: 'true',
        LOCKSTEP_PUBLIC_URL: 'https://features.example',
      }),
    ).toEqual({
      definitions: '/srv/features.ts',
      postgresUrl: 'postgresql://somebody@localhost/flights?host=/run/postgresql',
      redisUrl: 'rediss+cluster://:secret@cache:6380,[::1]:6381',
      redisReads: 'replica',
      streamRedisUrl: 'rediss+cluster://:secret@cache:6380,[::1]:6381',
      natsUrl: 'nats://token@events:4222',
      kafkaUrl: 'kafkas://u:p@a:9093,b?sasl=scram-sha-256',
      schemaRegistryUrl: 'https://u:p@a:8081',
      schemaRegistryToken: 't',
      replaySeconds: 60,
      redisPrefix: 'team:a',
      directory: '/var/lib/lockstep',
      filesDirectory: '/srv/files',
      trainers: '/srv/trainers',
      trainingSets: 3,
      uploadLimitBytes: 100 * 2 ** 20,
      server: 'https://features.example',
      serverSilenceMs: 5_000,
      apiKey: 'lockstep_sk_1',
      host: '0.0.0.0',
      port: 0,
      tls: { cert: '/etc/lockstep/tls.crt', key: '/etc/lockstep/tls.key' },
      grpcPort: 8081,
      grpcMaxStreams: 50,
      grpcMaxConnections: 200,
      bodyLimitBytes: 1000,
      corsOrigins: ['https://app.example', 'http://localhost:3000'],
      futureMicros: 0,
      logShares: { share: 0.01, models: new Map([['delay', 1]]) },
      logRetentionDays: 7,
      parityPerMinute: 20,
      rollups: { rowsPerSecond: 50 },
      rollupDays: { minute: 2, hour: 30, day: 365 },
      logLevel: 'debug',
      auditRetentionDays: 30,
      evidenceRetentionDays: 90,
      signingKeys: ['n'.repeat(32), 'o'.repeat(32)],
      auth: 'off',
      requestTimeoutMs: 500,
      staleSeconds: 120,
      staleMegabytes: 8,
      rateLimitFallback: 'closed',
      metricsAuth: 'required',
      metricsPort: 9091,
      metricsHost: '10.0.0.1',
      maxInFlight: 64,
      maxInFlightPerKey: 20,
      accessLogShare: 0.01,
      shutdownDelayMs: 5000,
      watchdogSeconds: 60,
      defaultMonitors: false,
      alertPrivateAddresses: true,
      traces: null,
      ui: {
        mode: 'on',
        listen: { host: '::1', port: 9090 },
        readOnly: true,
        insecure: true,
        publicUrl: new URL('https://features.example'),
      },
    })
  })

  it('reads streams from the Redis of the online store, or from another', () => {
    const [own, other] = ['redis://cache:6379', 'redis://events:6379']
    expect(loadConfig({ LOCKSTEP_REDIS_URL: own, LOCKSTEP_STREAM_REDIS_URL: other })).toMatchObject({
      redisUrl: own,
      streamRedisUrl: other,
    })
    expect(loadConfig({ LOCKSTEP_STREAM_REDIS_URL: other })).toMatchObject({ redisUrl: null, streamRedisUrl: other })
  })

  it('takes a comma in the user and password of PostgreSQL, which is no second host', () => {
    for (const url of ['postgres://us,er:pass,word@host:5432/x', 'postgres://user:a@b,c@host/x?sslmode=require'])
      expect(loadConfig({ LOCKSTEP_POSTGRES_URL: url }).postgresUrl).toBe(url)
  })

  it.each([
    ['LOCKSTEP_PORT', '80a', 'a whole number from 0 to 65535'],
    ['LOCKSTEP_PORT', '65536', 'a whole number from 0 to 65535'],
    ['LOCKSTEP_PORT', '-1', 'a whole number from 0 to 65535'],
    ['LOCKSTEP_BODY_LIMIT_BYTES', '1.5', 'a whole number from 1 to 1073741824'],
    ['LOCKSTEP_BODY_LIMIT_BYTES', '9'.repeat(40), 'a whole number from 1 to 1073741824'],
    ['LOCKSTEP_LOG_LEVEL', 'loud', 'one of trace, debug, info, warn, error, fatal, silent'],
    ['LOCKSTEP_REDIS_PREFIX', 'a{b}', '1 to 64 letters, digits, or the signs _ . : -'],
  ])('refuses %s=%s, with the allowed values', (name, value, allowed) => {
    expect(failure({ [name]: value })).toContain(`"${name}" is "${value}"; it must be ${allowed}`)
  })

  it.each(['redis+sentinel://host/main', 'unix:///run/redis.sock'])('refuses to read from replicas at %s, which is no cluster', (url) => {
    expect(failure({ LOCKSTEP_REDIS_URL: url, LOCKSTEP_REDIS_READS: 'replica' })).toContain('which needs a cluster')
  })

  it.each([
    ['LOCKSTEP_POSTGRES_URL', 'mysql://somebody:hush@host/x', 'postgres://user:password@host:5432/database'],
    ['LOCKSTEP_POSTGRES_URL', 'host=somewhere password=hush', 'postgres://user:password@host:5432/database'],
    ['LOCKSTEP_REDIS_URL', 'http://:hush@host', 'redis://:password@host:6379'],
    ['LOCKSTEP_REDIS_URL', ':hush@host', 'redis://:password@host:6379'],
    ['LOCKSTEP_POSTGRES_URL', 'postgres://user:12/hush@host:5432/x', 'a URL whose password has %2F for each "/"'],
    ['LOCKSTEP_POSTGRES_URL', 'postgres://user:12#hush@host/x', '%23 for each "#"'],
    ['LOCKSTEP_POSTGRES_URL', 'postgres://user:12@hu/sh@host/x', '%40 for each "@"'],
    ['LOCKSTEP_POSTGRES_URL', 'postgres://user:hush@one:5432,/x', 'a URL such as postgres://'],
    ['LOCKSTEP_POSTGRES_URL', 'postgres://user:hush@/x?host=one,two', 'a URL that names its servers before the database'],
    ['LOCKSTEP_POSTGRES_URL', 'postgres://user:hush@one,two/x?port=5433', 'a URL that names its servers before the database'],
    ['LOCKSTEP_POSTGRES_URL', 'postgres://user:hush@host/what%3F', 'without "?" and "#" in its name'],
    ['LOCKSTEP_REDIS_URL', 'redis:///run/hush.sock', 'or unix:///run/redis/redis.sock'],
    ['LOCKSTEP_REDIS_URL', 'redis://host:6379/hush', 'a URL such as redis://'],
    ['LOCKSTEP_REDIS_URL', 'redis://user:12?hush@host:6379', '%3F for each "?"'],
    ['LOCKSTEP_REDIS_URL', 'redis://:hush@host:6379?ca=/ca.pem', 'rediss://host:6379?ca=FILE&cert=FILE&key=FILE'],
    ['LOCKSTEP_REDIS_URL', 'rediss://:hush@host:6379?cert=/client.pem', 'rediss://host:6379?ca=FILE&cert=FILE&key=FILE'],
    ['LOCKSTEP_REDIS_URL', 'rediss+cluster://:hush@host:6379?db=2', 'a URL without a database'],
    ['LOCKSTEP_REDIS_URL', 'redis+cluster://:hush@host:6379/2', 'a URL without a database'],
    ['LOCKSTEP_REDIS_URL', 'redis+cluster://:hush@host:6379?hush=1', 'no other parameters than ca, cert and key'],
    ['LOCKSTEP_REDIS_URL', 'redis://:hush@one:6379,two:6379', 'redis+sentinel://host:26379,host:26379/NAME for Sentinel'],
    ['LOCKSTEP_REDIS_URL', 'redis://:hush@host:70000', 'a URL whose servers are HOST:PORT'],
    ['LOCKSTEP_REDIS_URL', 'redis://:100%hush@host:6379', 'has %25 for each "%"'],
    ['LOCKSTEP_REDIS_URL', 'constructor://:hush@host:6379', 'a URL such as redis://'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://:hush@host:26379', 'the name of the primary behind the Sentinels'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://:hush@host:26379/my%20master', 'the name of the primary behind the Sentinels'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://:hush@host:26379/main/two', 'the name of the primary behind the Sentinels'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://:hush@host:26379/main?db=2', 'redis+sentinel://host:26379,host:26379/NAME/2'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://:hush@one:26379,/main', 'a URL whose servers are HOST:PORT, separated by commas'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://host:26379/main?password=hush', 'no other parameters than sentinel_username'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://:hush@host:26379/main?sentinel_username=me', 'a sentinel_password with the sentinel_username'],
    ['LOCKSTEP_REDIS_URL', 'redis+sentinel://:hush@host:26379/main?ca=/ca.pem', 'certificates with TLS alone'],
    ['LOCKSTEP_REDIS_URL', 'unix://:hush@/', 'a URL of a socket such as unix:///run/redis/redis.sock'],
    ['LOCKSTEP_REDIS_URL', 'unix://:hush@run/redis.sock', 'a URL of a socket such as unix:///run/redis/redis.sock'],
    ['LOCKSTEP_REDIS_URL', 'unix://:hush@/run/redis.sock?db=two', 'a URL of a socket such as unix:///run/redis/redis.sock'],
    ['LOCKSTEP_REDIS_URL', 'unix://:hush@/run/redis.sock?database=2', 'a URL of a socket such as unix:///run/redis/redis.sock'],
    ['LOCKSTEP_SIGNING_KEY', 'hush', 'a secret of 32 characters or more'],
    ['LOCKSTEP_SCHEMA_REGISTRY_URL', 'https://user:100%hush@host:8081', 'have %25 for each "%"'],
    ['LOCKSTEP_SCHEMA_REGISTRY_TOKEN', 'hush\nhush', 'a token without spaces and line breaks'],
  ])('refuses %s=%s without telling the value', (name, value, example) => {
    const message = failure({ [name]: value })
    expect(message).toContain(`"${name}"`)
    expect(message).toContain(example)
    expect(message).not.toContain('hush')
  })

  it('names every problem at once, misspelt variables among them', () => {
    const message = failure({ LOCKSTEP_POSTGRESS_URL: 'postgres://u:hush@h/d', LOCKSTEP_PORT: 'x', LOCKSTEP_LOG_LEVEL: 'y' })
    expect(message).toContain('"LOCKSTEP_POSTGRESS_URL" is not a setting (did you mean "LOCKSTEP_POSTGRES_URL"?)')
    expect(failure({ LOCKSTEP_PREFIX: 'a' })).toContain('"LOCKSTEP_PREFIX" is not a setting (did you mean "LOCKSTEP_REDIS_PREFIX"?)')
    expect(failure({ LOCKSTEP_QZXWV: '1' })).toContain('"LOCKSTEP_QZXWV" is not a setting (docs/configuration.md lists them)')
    expect(message).toContain('"LOCKSTEP_PORT" is "x"')
    expect(message).toContain('"LOCKSTEP_LOG_LEVEL" is "y"')
    expect(message).not.toContain('hush')
    const keys = failure({ LOCKSTEP_SIGNING_KEY: 'hush', LOCKSTEP_MAX_IN_FLIGHT_PER_KEY: 'many' })
    expect(keys).toContain('"LOCKSTEP_MAX_IN_FLIGHT_PER_KEY" is "many"')
    expect(keys).not.toContain('hush')
  })

  it('refuses a TLS certificate without its key, and a key without its certificate', () => {
    expect(failure({ LOCKSTEP_TLS_CERT: 'a.crt' })).toContain('"LOCKSTEP_TLS_KEY" is missing')
    expect(failure({ LOCKSTEP_TLS_KEY: 'a.key' })).toContain('"LOCKSTEP_TLS_CERT" is missing')
  })

  it('matches the page in docs, by variable and default', async () => {
    const page = await readFile(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8')
    const unset: Readonly<Record<string, string>> = {
      LOCKSTEP_STREAM_REDIS_URL: '`LOCKSTEP_REDIS_URL`',
      LOCKSTEP_NATS_URL: 'none',
      LOCKSTEP_KAFKA_URL: 'none',
      LOCKSTEP_SCHEMA_REGISTRY_URL: 'none',
      LOCKSTEP_SCHEMA_REGISTRY_TOKEN: 'none',
      LOCKSTEP_CORS_ORIGINS: 'none',
      LOCKSTEP_SERVER: 'none',
      LOCKSTEP_API_KEY: 'none',
      LOCKSTEP_FILES_DIR: '`files` in `LOCKSTEP_DIR`',
      LOCKSTEP_TRAINERS: 'none',
      LOCKSTEP_TLS_CERT: 'none',
      LOCKSTEP_TLS_KEY: 'none',
      LOCKSTEP_GRPC_PORT: 'none',
      LOCKSTEP_METRICS_PORT: 'the port of the server',
      LOCKSTEP_MAX_IN_FLIGHT_PER_KEY: 'three quarters of `LOCKSTEP_MAX_IN_FLIGHT`',
      LOCKSTEP_GRPC_MAX_CONNECTIONS: 'a quarter of `ulimit -n`',
      LOCKSTEP_SIGNING_KEY: 'none: nothing is signed',
      LOCKSTEP_WATCHDOG_SECONDS: '`30`; embedded: `0`',
      LOCKSTEP_UI_LISTEN: 'none',
      LOCKSTEP_PUBLIC_URL: 'none',
    }
    const rows = [...page.matchAll(/^\| `(LOCKSTEP_\w+)` \| ([^|]+) \|/gm)].map(([, name = '', text = '']) => [name, text] as const)
    const asTexts = { LOCKSTEP_LOG_PREDICTIONS: '0', LOCKSTEP_ROLLUP_DAYS: '7,90,730' }
    expect(variables.parse(asTexts)).toEqual(variables.parse({}))
    const defaults: Readonly<Record<string, string | number | readonly string[] | undefined>> = { ...variables.parse({}), ...asTexts }
    const expected = Object.keys(variables.shape).map((name) => [
      name,
      defaults[name] === undefined ? (unset[name] ?? 'none: embedded') : `\`${String(defaults[name])}\``,
    ])
    expect(rows).toHaveLength(expected.length)
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(expected))
    const [, inFiles = ''] = /^- `_FILE` works for (.*?), and each /m.exec(page) ?? []
    expect([...inFiles.matchAll(/`(\w+)`/g)].map(([, name]) => name)).toEqual(secretVariables)
  })
})
