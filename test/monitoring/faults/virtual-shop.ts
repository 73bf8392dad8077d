import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { createContext } from '../../../cli/context.ts'
import { prepare } from '../../../cli/run.ts'
import { createTerminal } from '../../../cli/terminal.ts'
import { inspectModel } from '../../../inference/inspect-model.ts'
import { materializeView } from '../../../materializer/runs/materialize.ts'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { monitoringKinds, monitorKind } from '../../../monitoring/alerts/evaluate-monitors.ts'
import { makeLackingBaselines } from '../../../monitoring/baselines/baseline-job.ts'
import { createRollups } from '../../../monitoring/rollups/create-rollups.ts'
import { writeMerged } from '../../../monitoring/rollups/merged-rollups.ts'
import { mergeRollups } from '../../../monitoring/rollups/merge-rollups.ts'
import { noModel } from '../../../monitoring/rollups/rollup-writer.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { createRedisStore } from '../../../online/redis-store.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadDefinitions } from '../../../registry/load/load-definitions.ts'
import { pushModel } from '../../../registry/models/models.ts'
import { promoteModel } from '../../../registry/models/promote.ts'
import { loadConfig } from '../../../runtime/config.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../../runtime/redis/redis.ts'
import { createServer } from '../../../serving/server.ts'
import { createRandom, type Random } from '../../../statistics/random.ts'
import { rootFolder } from '../../source-files.ts'
import { delayedProxy } from './delayed-proxy.ts'
import { createLifelike } from './lifelike.ts'
import { definitions, fraudModel, fraudShare } from './shop.ts'

const [minute, hour, day] = [60_000_000, 3_600_000_000, 86_400_000_000]

/** The state of the shop, with its faults. */
export interface Conditions {
  /** Every so many minutes there are payments, requests and a run of the view. */
  busyEvery: number
  /** The least number of minutes between two evaluations of a monitor; 1: all that are due. */
  evaluateEvery: number
  /** Whether payments arrive. */
  feed: boolean
  /** Whether the view is materialized. */
  materializer: boolean
  /** A factor of all amounts. */
  unit: number
  /** The share of payments without an amount. */
  nulls: number
  /** The share of payments from a country that the training set does not have. */
  newCountry: number
  /** Whether outcomes say the opposite. */
  flipped: boolean
  /** The mean number of requests of a busy minute. */
  requests: number
  /** Requests under way. */
  atOnce: number
  /** The mean number of payments of each minute; at most 100 arrive in a busy minute. */
  payments: number
  /** How long Redis takes longer, milliseconds. */
  redisMs: number
  /** How far the clock of the worker is ahead, microseconds. */
  clockOffset: number
  /** How far that of the server is. */
  serverClockOffset: number
}

export interface ShopOptions {
  readonly postgresUrl: string
  readonly redis: { readonly url: string; readonly prefix: string }
  readonly seed?: number
  /** Whether traffic varies as that of real shops (`lifelike.ts`), instead of being the same all the time. */
  readonly lifelike?: boolean
  readonly conditions?: Partial<Conditions>
  readonly cards?: number
}

const rowsPerRequest = 4
const countries = ['CH', 'DE', 'FR', 'IT']
const log = createLogger('silent')

/**
 * A real server over PostgreSQL and Redis, whose clock and whose monitors' clock are virtual: a minute is a few
 * payments, requests over HTTP and outcomes; then the clock goes on, and the monitors that are due are evaluated by the
 * job that workers run.
 */
export async function openShop({
  postgresUrl,
  redis,
  seed = 1,
  lifelike: isLifelike = false,
  conditions: given = {},
  cards = 300,
}: ShopOptions) {
  const random = createRandom(seed)
  const lifelike = isLifelike ? createLifelike(random, cards, seed) : null
  const conditions: Conditions = {
    busyEvery: 1,
    evaluateEvery: 1,
    feed: true,
    materializer: true,
    unit: 1,
    nulls: 0,
    newCountry: 0,
    flipped: false,
    requests: 3,
    atOnce: 4,
    payments: 30,
    redisMs: 0,
    clockOffset: 0,
    serverClockOffset: 0,
    ...given,
  }
  /** Two months ago, so that the virtual time stays in the past. */
  let now = Math.floor((Date.now() * 1000) / day - 60) * day
  const db = openPostgres(postgresUrl)
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-shop-'))
  const signal = new AbortController()
  const context = createContext(
    loadConfig({ LOCKSTEP_POSTGRES_URL: postgresUrl, LOCKSTEP_DIR: folder }),
    createTerminal(true),
    signal.signal,
  )
  const proxied = new URL(redis.url)
  const proxy = await delayedProxy(proxied.hostname, Number(proxied.port))
  proxied.hostname = '127.0.0.1'
  proxied.port = String(proxy.port)
  const storeAt = (url: string) => createRedisStore({ redis: openRedis(url), prefix: redis.prefix })
  const store = storeAt(redis.url)

  let applied = 0
  async function applyDefinitions(text: string): Promise<Catalog> {
    const file = join(folder, `features${applied++}.ts`)
    await writeFile(file, text.replace("'lockstep'", JSON.stringify(join(rootFolder, 'index.ts'))))
    await applyChanges(db, await loadDefinitions(file))
    return await loadCatalog(db)
  }
  let catalog = await applyDefinitions(definitions)

  const own = Array.from({ length: cards }, () => random.normal())
  /** Waiting outcomes, by when they happen. */
  const outcomes: { readonly at: number; readonly id: string; readonly card: string; readonly isFraud: boolean }[] = []

  function drawPayment(at: number) {
    const card = random.below(cards)
    const mean = 50 + 5 * (own[card] as number) + (lifelike?.amount(at) ?? 0)
    const amount = Math.fround((mean + 5 * random.normal()) * conditions.unit)
    const country = random.next() < conditions.newCountry ? 'LI' : (countries[random.next() < 0.5 ? card % 4 : random.below(4)] as string)
    return {
      card: `c${card}`,
      at,
      amount: random.next() < Math.max(0.02, conditions.nulls) ? null : amount,
      country,
      trusted: random.next() < 0.7,
    }
  }

  async function writePayments(rows: readonly ReturnType<typeof drawPayment>[]): Promise<void> {
    await db.query(
      `INSERT INTO lockstep_source.payments (card, at, amount, country, trusted)
       SELECT card, to_timestamp(at / 1e6), amount, country, trusted
       FROM unnest($1::text[], $2::float8[], $3::real[], $4::text[], $5::bool[]) AS p (card, at, amount, country, trusted)`,
      [
        rows.map((row) => row.card),
        rows.map((row) => row.at),
        rows.map((row) => row.amount),
        rows.map((row) => row.country),
        rows.map((row) => row.trusted),
      ],
    )
  }

  async function writeOutcomes(): Promise<void> {
    const due = outcomes.filter(({ at }) => at <= now)
    if (due.length === 0) return
    outcomes.splice(0, outcomes.length, ...outcomes.filter(({ at }) => at > now))
    await db.query(
      `INSERT INTO lockstep_source.reports (card, at, prediction_id, is_fraud)
       SELECT card, to_timestamp(at / 1e6), id, is_fraud
       FROM unnest($1::text[], $2::float8[], $3::text[], $4::bool[]) AS p (card, at, id, is_fraud)`,
      [due.map(({ card }) => card), due.map(({ at }) => at), due.map(({ id }) => id), due.map(({ isFraud }) => isFraud)],
    )
  }

  async function materialize(): Promise<void> {
    for (const id of catalog.online) await materializeView(db, store, catalog.view(id), { moment: now, now: () => now })
  }

  // the history of two days, the training set, and the first version
  await writePayments(Array.from({ length: 6000 }, (_, i) => drawPayment(now - 2 * day + (i / 6000) * 2 * day)))
  await db.query(
    `CREATE TABLE spine AS SELECT card, at + interval '1 second' AS at FROM lockstep_source.payments WHERE at > to_timestamp(${(now - day) / 1e6})`,
  )
  const made = await (
    await prepare(['dataset', 'create', 'fraud_features', '--spine', 'select * from spine', '--out', join(folder, 'set.csv')])
  )(context)
  const { id: dataset } = made.json as { readonly id: string }
  await materialize()

  /** Pushes the model. @param producer tells versions apart @returns its number */
  async function push(producer = 'shop'): Promise<number> {
    const bytes = fraudModel(producer)
    const pushed = await pushModel(db, { model: 'fraud', bytes, contract: await inspectModel(bytes), dataset, datasetMismatch: true })
    await makeLackingBaselines({
      db,
      catalog: () => loadCatalog(db),
      log,
      onFailure: (_, error) => {
        throw new Error(error)
      },
    })
    catalog = await loadCatalog(db)
    return pushed.version.version
  }
  await push()

  const clock = () => now
  const rollups = createRollups(
    () => db,
    { rowsPerSecond: 1_000_000 },
    log,
    clock,
    machineClock(() => conditions.serverClockOffset),
  )
  const server = createServer({
    config: { bodyLimitBytes: 100_000, logShares: { share: isLifelike ? 0.25 : 1, models: new Map() }, logRetentionDays: 90 },
    database: async () => openPostgres(postgresUrl),
    store: async () => storeAt(proxied.href),
    log,
    metrics: new Registry(),
    clock,
    lead: false,
    rollups:
      lifelike === null
        ? rollups
        : { ...rollups, answered: (group, predictions, _, hits) => rollups.answered(group, predictions, lifelike.times(now), hits) },
    // a virtual minute is some milliseconds
    predictionLog: { flushMs: 20, snapshotMs: 0 },
    pollMs: 60_000,
    drainMs: 2000,
  })
  const { url } = await server.listen('127.0.0.1', 0)
  await server.whenReady()

  const [evaluation] = monitoringKinds({
    db,
    store: async () => store,
    catalog: async () => catalog,
    active: (of) => activeMonitors(of, true),
    readSecret: () => null,
    allowPrivate: false,
    publicUrl: null,
    clock: machineClock(() => conditions.clockOffset),
    worker: 'shop',
  })
  if (evaluation?.name !== monitorKind) throw new Error('The first kind evaluates monitors.')

  let answered = 0
  async function predict(): Promise<void> {
    const entities = Array.from({ length: rowsPerRequest }, () => ({ card: `c${lifelike?.card() ?? random.below(cards)}` }))
    const response = await fetch(`${url}/v1/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'fraud', entities, include: ['features'] }),
    })
    if (response.status !== 200) throw new Error(await response.text())
    const body = (await response.json()) as {
      readonly predictionIds: readonly string[]
      readonly predictions: readonly { readonly score: number | string | null }[]
      readonly features: readonly { readonly amount: number | null }[]
    }
    answered++
    for (const [i, id] of body.predictionIds.entries()) {
      const isFraud = random.next() < fraudShare((body.features[i]?.amount ?? 50) / conditions.unit) !== conditions.flipped
      outcomes.push({ at: now + (lifelike?.outcomeDelay() ?? 20 * minute), id, card: entities[i]?.card ?? '', isFraud })
    }
  }

  async function evaluate(): Promise<void> {
    for (const { name, everyMicros } of activeMonitors(catalog, true).monitors) {
      if (now % Math.max(everyMicros, conditions.evaluateEvery * minute) !== 0) continue
      const step = { signal: signal.signal, worker: 'shop', attempt: 0, progress: () => undefined, isHeld: async () => true }
      await evaluation?.run({ id: 1, subject: name, scope: '', moment: now, chunks: 1, spec: { monitor: name }, plan: null }, null, step)
    }
  }

  /** Payments, outcomes and requests of a minute, while the clock stands. */
  async function beBusy(): Promise<void> {
    const rate = lifelike?.rate(now) ?? 1
    const payments = Math.ceil(Math.min(conditions.payments * conditions.busyEvery, 100) * rate)
    if (conditions.feed) await writePayments(Array.from({ length: payments }, () => drawPayment(now - random.next() * 30_000_000)))
    await writeOutcomes()
    if (conditions.materializer) await materialize()
    for (let left = poisson(random, conditions.requests * rate); left > 0; left -= conditions.atOnce)
      await Promise.all(Array.from({ length: Math.min(left, conditions.atOnce) }, predict))
  }

  async function passMinute(): Promise<void> {
    const begin = now
    proxy.delayMs = conditions.redisMs
    now = begin + 40_000_000
    if (now % (conditions.busyEvery * minute) < minute) await beBusy()
    now = begin + minute
    await rollups.flush()
    if (now % hour === 4 * minute) await mergeRollups(db, { minute: 90, hour: 90, day: 730 }, now)
    await evaluate()
  }

  return {
    db,
    url,
    conditions,
    now: clock,
    /** How many requests the server has answered so far. */
    answered: () => answered,
    push,
    /** Writes the merged hours of the weeks before, as if the minutes were no longer kept. */
    async hadWeeks(weeks: number, requestsAnHour: number): Promise<void> {
      const end = Math.floor(now / hour) * hour
      for (let at = end - weeks * 7 * day; at < end; at += hour) {
        const traffic = new TrafficSummary()
        traffic.requests = poisson(random, requestsAnHour * (lifelike?.rate(at + hour / 2) ?? 1))
        const coverage = { minutes: 60, missing: [] }
        await writeMerged(
          db,
          'hour',
          { at, model: 'fraud', version: 1, role: 'champion' },
          { parts: 60, traffic, columns: null, coverage: null },
        )
        await writeMerged(db, 'hour', { at, ...noModel }, { parts: 60, traffic: new TrafficSummary(), columns: null, coverage })
      }
    },
    /** Copies the newest merged hour to so many hours before it. */
    async hadSuchHours(hours: number): Promise<void> {
      await db.query(
        `INSERT INTO lockstep.merged_rollups (step, at, model, version, role, parts, traffic, columns, coverage)
         SELECT step, at - n * interval '1 hour', model, version, role, parts, traffic, columns, coverage
         FROM lockstep.merged_rollups, generate_series(1, $1::int) n
         WHERE step = 'hour' AND at = (SELECT max(at) FROM lockstep.merged_rollups WHERE step = 'hour')
         ON CONFLICT DO NOTHING`,
        [hours],
      )
    },
    /** Applies other definitions. */
    async apply(text: string): Promise<void> {
      catalog = await applyDefinitions(text)
      await server.refresh()
    },
    async promote(version: number): Promise<void> {
      await promoteModel(db, 'fraud', version, { actor: 'shop' }, undefined, { atOnce: true, datasetMismatch: true })
      await server.refresh()
      catalog = await loadCatalog(db)
    },
    async pass(minutes: number): Promise<void> {
      for (let i = 0; i < minutes; i++) await passMinute()
    },
    async close(): Promise<void> {
      signal.abort()
      await server.close()
      await proxy.close()
      await store.close()
      await context.close()
      await db.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type Shop = Awaited<ReturnType<typeof openShop>>

/** The real time, which the database has, too. */
function machineClock(offset: () => number): () => number {
  return () => Date.now() * 1000 + offset()
}

/** Knuth's method, the product of uniform numbers; from 100 on, the normal distribution. */
function poisson(random: Random, mean: number): number {
  if (mean >= 100) return Math.max(0, Math.round(mean + Math.sqrt(mean) * random.normal()))
  const least = Math.exp(-mean)
  let n = 0
  for (let product = random.next(); product > least; product *= random.next()) n++
  return n
}
