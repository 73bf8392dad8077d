import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { createParityWatch } from '../../monitoring/parity/parity-watch.ts'
import { dashboards } from '../../observability/grafana/source/dashboards.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { postgresTimers, roundTripsOf } from '../../runtime/postgres/round-trips.ts'
import { load } from '../registry/definition-files.ts'
import { freePort } from '../services/keeper.ts'
import type { World } from '../serving/world.ts'
import { ask, createWorld } from '../serving/world.ts'
import { rootFolder } from '../source-files.ts'
import { faults } from './faults.ts'
import type { Prometheus } from './prometheus-server.ts'
import { startPrometheus } from './prometheus-server.ts'

// A real Prometheus scrapes a real server and a real worker, over PostgreSQL and Redis, while predictions, pushes, a
// stream and jobs keep them busy. Then no query of the dashboards and rules may be empty.

/** Until each query has a number: as a rule, six seconds of load. */
const patience = { timeout: 200_000, interval: 500 }
/** In place of Grafana's `$__rate_interval`. */
const rateInterval = '6s'

const fraud = join(rootFolder, 'templates/fraud')
const definitions = readFileSync(join(fraud, 'features.ts'), 'utf8')
  .replace("featureView('spending', {", "featureView('spending', { freshness: '1m',")
  .replace('service: fraudFeatures,', "service: fraudFeatures, cache: { ttl: '10s', maxEntries: 1000 },")
  .replace(' } from ', ', redisStream } from ')
/** Over a stream. Its pages are longer than its cap. */
const clicks = (stream: string): string => `
export const clicks = source('clicks', { key: { card: 'card' }, eventTime: 'at', columns: { page: t.string }, stream: redisStream('${stream}') })
export const clicking = featureView('clicking', { version: 1, entity: card, source: clicks, maxStateBytes: '64b', features: { page: last('page') } })`

let world: World
let url: string
let prometheus: Prometheus
const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

beforeAll(async () => {
  const stream = `clicks_${process.pid}_${Date.now()}`
  world = await createWorld('redis', await load({ 'features.ts': definitions + clicks(stream) }))
  closing.push(() => world.close())
  await world.push('fraud', readFileSync(join(fraud, 'models/fraud.onnx')))
  const metrics = createMetricsRegistry()
  const timers = postgresTimers(roundTripsOf(metrics))
  const clock = () => Date.now() * 1000
  const { url: served } = await world.serve({
    clock,
    metrics,
    database: async () => openPostgres(world.postgresUrl, { timers }),
    config: { bodyLimitBytes: 1_000_000, logShares: { share: 1, models: new Map() } },
  })
  url = served
  const workerPort = await freePort()
  prometheus = await startPrometheus({ 'lockstep-server': new URL(url).host, 'lockstep-worker': `127.0.0.1:${workerPort}` })
  closing.push(() => prometheus.stop())
  await until(async () => (await prometheus.query('up{job="lockstep-server"} == 1')).length > 0)

  // while no worker has materialized the views
  for (const end = performance.now() + 1500; performance.now() < end; await sleep(200)) {
    await ask(url, '/v1/predict', { model: 'fraud', entities: [{ card: 'c1', amount: 5 }], onUnavailable: 'defaults' })
    await ask(url, '/v1/features', { service: 'fraud_features', entities: [{ card: 'c1', amount: 5 }] })
  }
  await startWorker(workerPort)
  await until(async () => (await ask(url, '/readyz')).status === 200 && (await predict({ card: 'c1', amount: 5 })).status === 200)
  const parity = createParityWatch(
    {
      database: () => world.db,
      catalog: () => loaded,
      metrics,
      inTurn: (read) => read(),
      log: createLogger('silent'),
      clock,
      signal: new AbortController().signal,
    },
    { vectors: 20, delayMicros: 0 },
  )
  const loaded = await loadCatalog(world.db)
  const redis = new Redis(world.redis.url)
  closing.push(() => redis.quit())
  closing.push(() => redis.del(stream))
  const stopped = new AbortController()
  const busy = Promise.all([keepServing(stopped.signal), keepWorking({ stream, redis, checkParity: () => parity.check() }, stopped.signal)])
  closing.push(async () => {
    stopped.abort()
    await busy
  })
})

async function startWorker(port: number): Promise<void> {
  const end = new AbortController()
  const env = {
    LOCKSTEP_POSTGRES_URL: world.postgresUrl,
    LOCKSTEP_REDIS_URL: world.redis.url,
    LOCKSTEP_REDIS_PREFIX: world.redis.prefix,
    LOCKSTEP_LOG_LEVEL: 'silent',
    LOCKSTEP_WATCHDOG_SECONDS: '0',
  }
  const context = createContext(loadConfig(env), createTerminal(true), end.signal)
  const outcome = await (await prepare(['worker', '--metrics-port', String(port)]))(context)
  const staying = outcome.stay?.().catch(() => undefined)
  closing.push(async () => {
    end.abort()
    await staying
    await context.close()
  })
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 100_000; !(await holds()); await sleep(100))
    if (performance.now() > deadline) throw new Error(`not within 100 s: ${holds.toString()}`)
}

const predict = (entity: object, more: object = {}) => ask(url, '/v1/predict', { model: 'fraud', entities: [entity], ...more })
const time = (agoMs = 0): string => new Date(Date.now() - agoMs).toISOString()

interface Busy {
  readonly stream: string
  readonly redis: Redis
  readonly checkParity: () => Promise<void>
}

async function keepServing(signal: AbortSignal): Promise<void> {
  for (let i = 0; !signal.aborted; i++) {
    const card = `c${i % 7}`
    await predict({ card, amount: i % 3 })
    await ask(url, '/v1/features', { service: 'fraud_features', entities: [{ card, amount: 1 }] })
    if (i % 5 === 0) {
      const event = (id: number) => ({ card, paid_at: time(), booked_at: time(), amount: i, country: 'CH', _event_id: `e${id}` })
      await ask(url, '/v1/sources/payments/events', { events: [event(i), event(i - 5)] })
      await ask(url, '/v1/sources/payments/events', { events: [{ card, colour: 'red' }] })
      await predict({ card, amount: 1 }, { asOf: time(86_400_000) })
      await predict({ card, amount: 'much' })
    }
    await sleep(50)
  }
}

/** As a monitor of this name would have made it; the worker resolves it, because there is none. */
const firingAlert = `
  insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, about, started_with, result)
  values ('made', 'threshold', 'fraud', 'ticket', 'firing', 1, '{}', '{}', '{}') on conflict do nothing`

/** The rarer things, and cheap faults: late requests, a damaged state, bad messages. */
async function keepWorking({ stream, redis, checkParity }: Busy, signal: AbortSignal): Promise<void> {
  const many = Array.from({ length: 2000 }, (_, i) => ({ card: `c${i}`, amount: 1 }))
  for (let i = 0; !signal.aborted; i++) {
    const card = `c${i % 7}`
    await ask(url, '/v1/features', { service: 'fraud_features', entities: many }, { 'x-request-timeout-ms': '1' })
    await redis.xadd(stream, '*', 'data', JSON.stringify({ card, at: time(), page: 'home'.repeat(50) }))
    await redis.xadd(stream, '*', 'data', '{')
    const [state] = await redis.keys(`${world.redis.prefix}*spending@1*c9*`)
    if (state !== undefined) await redis.set(state, 'damaged')
    await ask(url, '/v1/backfills', { view: 'spending', from: time(i * 3_600_000 + 7_200_000), to: time(i * 3_600_000) })
    await checkParity()
    await world.db.query(firingAlert)
    await sleep(300)
  }
}

/** The query of a panel, for all jobs, instances, models and views. */
function asAsked(promql: string): string {
  return promql.replaceAll('$__rate_interval', rateInterval).replaceAll(/\$[a-z]+/g, '.*')
}

/** An alert whose condition does not hold is empty; with `bool`, or without `absent`, only if what it reads is. */
function withoutFilter(promql: string): string {
  return promql.replaceAll(/ (==|!=|>=|<=|>|<) /g, ' $1 bool ').replaceAll(/\babsent\(/g, '(')
}

const readsFault = (promql: string): boolean => Object.keys(faults).some((metric) => new RegExp(`\\b${metric}\\b`).test(promql))

interface Query {
  readonly name: string
  readonly promql: string
}

/** Asks each query, and those that read no fault of the list until they have a number. */
async function eachHasNumber(queries: readonly Query[]): Promise<void> {
  let empty = queries
  const isEmpty = async ({ promql }: Query): Promise<boolean> =>
    (await prometheus.query(promql)).every(({ value: [, value] }) => value === 'NaN')
  const stillEmpty = async (): Promise<readonly Query[]> => {
    const found = await Promise.all(empty.map(isEmpty))
    return (empty = empty.filter(({ promql }, i) => found[i] && !readsFault(promql)))
  }
  await expect.poll(stillEmpty, patience).toEqual([])
}

it('no query of a dashboard is empty, but those that read the listed faults', async () => {
  const queries = dashboards.flatMap(({ name, rows }) =>
    rows.flatMap(({ panels }) =>
      panels.flatMap((panel) => panel.queries.map(({ promql }) => ({ name: `${name}: ${panel.title}`, promql: asAsked(promql) }))),
    ),
  )
  expect(queries.length).toBeGreaterThan(80)
  await eachHasNumber(queries)
})

it('no rule fails or is empty, but those that read the listed faults', async () => {
  // until each was evaluated
  await expect.poll(async () => (await prometheus.rules()).filter(({ health }) => health !== 'ok'), patience).toEqual([])
  const rules = await prometheus.rules()
  expect(rules.length).toBeGreaterThan(35)
  const queries = rules.map(({ type, name, query }) => ({ name, promql: type === 'alerting' ? withoutFilter(query) : query }))
  await eachHasNumber(queries)
})

it('each listed fault is read by a query, and not caused here: then it would not have to be listed', async () => {
  const texts = JSON.stringify([dashboards, await prometheus.rules()])
  expect(Object.keys(faults).filter((metric) => !texts.includes(metric))).toEqual([])
  const present = await Promise.all(
    Object.keys(faults).map(async (metric) => ((await prometheus.query(metric)).length > 0 ? [metric] : [])),
  )
  expect(present.flat()).toEqual([])
})
