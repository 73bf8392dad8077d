import { sql } from 'kysely'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { createLogger } from '../../../runtime/log.ts'
import type { ParityOptions, ParityReport } from '../../../monitoring/parity/check-parity.ts'
import { parity } from '../../../monitoring/alerts/checks/parity.ts'
import { checkParity } from '../../../monitoring/parity/check-parity.ts'
import { verdicts } from '../../../monitoring/parity/classify.ts'
import { createParityWatch } from '../../../monitoring/parity/parity-watch.ts'
import { hour } from '../../serving/definitions.ts'
import { until } from '../../serving/gate.ts'
import type { World } from '../../serving/world.ts'
import { ask, createWorld, noon } from '../../serving/world.ts'
import { clockMonitor } from '../alerts/monitors.ts'

const second = 1_000_000
const logging = { config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() } } }

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('redis')
  await world.push('echo', 'identity')
  await world.push('typed', 'named')
})
afterAll(() => world?.close())

async function land(airport: string, at: number, delay: number): Promise<void> {
  await world.db.query('insert into lockstep_source.landings (airport, at, delay, amount) values ($1, $2, $3::float8, $3::float8)', [
    airport,
    formatTimestamp(at),
    delay,
  ])
}

async function logged(): Promise<number> {
  const [row] = await world.db.query<{ n: number }>('select count(*)::int4 as n from lockstep.prediction_log')
  return row?.n ?? 0
}

async function check(options: Partial<ParityOptions> = {}): Promise<ParityReport> {
  const catalog = await loadCatalog(world.db)
  return await checkParity(world.db, catalog, { since: noon - hour, until: noon + hour, limit: 5000, order: 'newest', ...options })
}

/** How many values of the model "echo" its monitor counts, if views have this freshness. */
async function differing(freshnessMicros: (view: string) => number | null): Promise<number> {
  const stored = await loadCatalog(world.db)
  const views = new Map(
    [...stored.views].map(([id, plan]) => [id, { ...plan, upkeep: { ...plan.upkeep, freshnessMicros: freshnessMicros(id) } }]),
  )
  const monitor = { ...clockMonitor('inputs'), target: { kind: 'model', model: 'echo' } as const }
  const window = { from: noon - hour, to: noon + hour }
  const shared = { rollups: new Map(), driftReports: new Map() }
  const rest = { store: null, window, clock: () => noon, memoryOf: () => undefined, shared, signal: new AbortController().signal }
  const context = { db: world.db, catalog: { ...stored, views }, monitor, ...rest }
  const [result] = await parity(context, { kind: 'parity', budget: 0, vectors: 5000 })
  return Math.round((result?.value ?? 0) * (result?.n ?? 0))
}

const predict = (model: string, airport: string, more: object = {}) =>
  ask(url, '/v1/predict', { model, entities: [model === 'echo' ? { airport, distance: 2 } : { airport }], ...more })

async function sum(registry: Registry, name: string): Promise<number> {
  const lines = (await registry.metrics()).split('\n').filter((line) => new RegExp(`^${name}[ {]`).test(line))
  return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' '))), 0)
}

describe('a parity check', () => {
  it('tells a late row, a tie, a ttl, a stale view and a changed value apart', async () => {
    for (const airport of ['EQUAL', 'SOON', 'LATE', 'STALE', 'TIE', 'FAKE']) await land(airport, noon - 2 * hour, 7)
    await land('TTL', noon - 49 * hour, 7)
    for (const view of ['airport_delays', 'airport_typed']) await world.materialize(view)
    await land('STALE', noon - 30 * 60 * second, 8)
    const served = await world.serve(logging)
    url = served.url
    await served.server.whenReady()
    const airports = ['EQUAL', 'SOON', 'LATE', 'STALE', 'TIE', 'TTL', 'FAKE', 'NEVER']
    for (const airport of airports) expect((await predict('echo', airport)).status).toBe(200)
    await until(async () => (await logged()) === airports.length)
    await land('SOON', noon - 5 * second, 8)
    await land('LATE', noon - 30 * 60 * second, 8)
    await land('TIE', noon - 2 * hour, 8)
    await land('TTL', noon - 30 * 60 * second, 8)
    await world.db.query(
      `update lockstep.prediction_log set features = replace(features::text, '"lastDelay":7', '"lastDelay":7.000000000000001')::json where keys ->> 'airport' = 'FAKE'`,
    )
    const report = await check()
    expect([report.vectors, report.skipped]).toEqual([8, { definitions: 0, degraded: 0, unreadable: 0 }])
    const none = { equal: 0, tie: 0, ttl: 0, stale: 0, late: 0, erased: 0, other: 0 }
    expect(report.features).toEqual([
      {
        service: 'flight@1',
        feature: 'lastDelay',
        view: 'airport_delays@1',
        ...none,
        equal: 3,
        tie: 1,
        ttl: 1,
        stale: 1,
        late: 1,
        other: 1,
      },
      // none of it counts TIE's second row, which happened two hours ago
      { service: 'flight@1', feature: 'landed1h', view: 'airport_delays@1', ...none, equal: 5, stale: 1, late: 2 },
      { service: 'flight@1', feature: 'pressure', view: 'flight_context@1', ...none, equal: 4, tie: 1, stale: 1, late: 2 },
    ])
    const found = report.examples
      .filter(({ feature }) => feature === 'lastDelay')
      .map(({ verdict, keys, logged: was, history }) => [verdict, (keys as { airport: string }).airport, was.value, history?.value])
    expect(new Set(found)).toEqual(
      new Set([
        ['late', 'LATE', 7, 8],
        ['other', 'FAKE', 7.000000000000001, 7],
        ['stale', 'STALE', 7, 8],
        ['tie', 'TIE', 7, 8],
        ['ttl', 'TTL', null, 8],
      ]),
    )
    expect(report.examples.find(({ verdict }) => verdict === 'ttl')?.logged.status).toBe('OUTSIDE_MAX_AGE')
    // with no time to be under way in, the row that came in the last seconds is late
    const strict = await check({ graceMicros: 1 })
    expect(strict.features[0]).toMatchObject({ equal: 2, late: 2 })
    // 12 values differ. The check of freshness reports those of a watched view, and of the on-demand view after it
    expect(await differing(() => null)).toBe(12)
    expect(await differing((view) => (view === 'airport_delays@1' ? hour : null))).toBe(9)
    await served.server.close()
  })

  it('runs continuously in a server, on some newly logged vectors, and sets metrics', async () => {
    const registry = new Registry()
    let now = noon + 60 * second
    const watch = createParityWatch(
      {
        database: () => world.db,
        catalog: () => catalog,
        inTurn: (run) => run(),
        metrics: registry,
        log: createLogger('info', { write: (line) => void lines.push(line) }),
        clock: () => now,
        signal: new AbortController().signal,
      },
      { vectors: 6, delayMicros: 60 * second },
    )
    const lines: string[] = []
    const catalog = await loadCatalog(world.db)
    // what was logged at noon is not old enough yet
    await watch.check()
    expect(await sum(registry, 'lockstep_parity_vectors_total')).toBe(0)
    now += second
    await watch.check()
    expect(await sum(registry, 'lockstep_parity_vectors_total')).toBe(6)
    expect(await sum(registry, 'lockstep_parity_values_total')).toBe(18)
    expect(await registry.metrics()).toContain('lockstep_parity_values_total{service="flight@1",feature="landed1h",verdict="equal"}')
    expect(lines.join()).toContain('a served value differs from the history')
    expect(lines.join()).not.toContain('LATE')
    now += second
    await watch.check()
    expect(await sum(registry, 'lockstep_parity_vectors_total')).toBe(6)
    expect(await sum(registry, 'lockstep_parity_failures_total')).toBe(0)
  })

  it('finds a thousand mixed requests equal that are answered during pushes', async () => {
    await world.db.query('truncate lockstep.prediction_log')
    const served = await world.serve(logging)
    url = served.url
    await served.server.whenReady()
    let seed = 1
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
    const airport = () => `A${random(8)}`
    let asked = 0
    const push = async () => {
      const events = Array.from({ length: 3 }, () => ({
        airport: airport(),
        at: formatTimestamp(noon - random(5 * second)),
        delay: random(3) === 0 ? null : random(100) / 7,
        amount: random(10) / 3,
        count: `${9_007_199_254_740_993n + BigInt(random(5))}`,
        city: random(2) === 0 ? null : `c${random(4)}`,
        open: random(2) === 0,
        vec: [random(3), random(3) / 7],
      }))
      expect((await ask(url, '/v1/sources/landings/events', { events })).status).toBe(200)
    }
    const mixed = async () => {
      const model = random(2) === 0 ? 'echo' : 'typed'
      const past = random(5) === 0 ? { asOf: formatTimestamp(noon - random(8 * second)) } : {}
      const { status, body } = await predict(model, airport(), past)
      expect([status, body.error]).toEqual([200, undefined])
      asked++
    }
    while (asked < 1000) await Promise.all([push(), ...Array.from({ length: 20 }, mixed), push(), push()])
    await until(async () => (await logged()) >= asked)
    await served.server.close()
    expect(await logged()).toBe(asked)
    const steps: number[] = []
    const report = await check({
      onProgress: (done, total) => {
        expect(total).toBe(asked)
        steps.push(done)
      },
    })
    // before each portion of 500, after the last one, and at the end
    expect([steps.length, steps[0], steps.at(-1)]).toEqual([Math.ceil(asked / 500) + 2, 0, asked])
    expect(steps).toEqual(steps.toSorted((a, b) => a - b))
    expect([report.vectors, report.skipped]).toEqual([asked, { definitions: 0, degraded: 0, unreadable: 0 }])
    expect(report.examples).toEqual([])
    const counts = report.features.map((feature) => verdicts.map((verdict) => feature[verdict]))
    expect(report.features).toHaveLength(8)
    for (const [equal, ...others] of counts) expect([(equal ?? 0) > 300, others]).toEqual([true, [0, 0, 0, 0, 0, 0]])
  }, 300_000)

  it('counts a row as visible only if it was at answer time, however late the log is', async () => {
    await world.db.query('truncate lockstep.prediction_log')
    await land('BETWEEN', noon - 2 * hour, 7)
    await world.materialize('airport_delays')
    const served = await world.serve(logging)
    url = served.url
    await served.server.whenReady()
    await world.db.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep.prediction_log in access exclusive mode`.execute(transaction)
      await predict('echo', 'NEVER')
      await predict('echo', 'BETWEEN')
      // before the log waits for its table, the database has said what was there
      const waiting = `select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query ~ 'PARTITION OF|COPY'`
      await until(async () => (await world.db.query(waiting)).length > 0)
      await land('BETWEEN', noon - 30 * 60 * second, 8)
    })
    await until(async () => (await logged()) === 2)
    await served.server.close()
    const { vectors, examples } = await check()
    expect(vectors).toBe(2)
    expect(examples.filter(({ feature }) => feature === 'lastDelay')).toMatchObject([{ verdict: 'late', keys: { airport: 'BETWEEN' } }])
  })

  it('skips what cannot be compared, and reports why', async () => {
    await world.db.query('truncate lockstep.prediction_log')
    const served = await world.serve({ config: { ...logging.config, parityPerMinute: 1 } })
    url = served.url
    await served.server.whenReady()
    expect(await served.registry.metrics()).toContain('lockstep_parity_vectors_total 0')
    for (let i = 0; i < 3; i++) await predict('echo', 'EQUAL')
    await until(async () => (await logged()) === 3)
    await served.server.close()
    await world.db.query(
      `update lockstep.prediction_log p set
         service_fingerprint = case n when 1 then 'another' else service_fingerprint end,
         features = case n when 2 then '{"lastDelay":"seven"}' else features end
       from (select ctid, row_number() over () as n from lockstep.prediction_log) q where q.ctid = p.ctid`,
    )
    const { vectors, skipped, skippedBecause } = await check()
    expect([vectors, skipped]).toEqual([1, { definitions: 1, degraded: 0, unreadable: 1 }])
    const changed = 'The feature service "flight@1" has changed since these predictions were answered.'
    expect(skippedBecause).toEqual([
      { reason: 'definitions', service: 'flight@1', vectors: 1, cause: changed },
      { reason: 'unreadable', service: 'flight@1', vectors: 1, cause: expect.stringContaining('The feature "lastDelay" is') as string },
    ])
  })
})
