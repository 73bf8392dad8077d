import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sql } from 'kysely'
import type { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OnlineStore } from '../../../online/store.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { parseLogShares } from '../../../runtime/settings/log-shares.ts'
import type { LogShares } from '../../../runtime/settings/log-shares.ts'
import { createPredictionLog } from '../../../monitoring/prediction-log/prediction-log.ts'
import { createSampling } from '../../../monitoring/prediction-log/sampling.ts'
import { openEmbedded } from '../../opened-database.ts'
import { gated, until } from '../../serving/gate.ts'
import type { World } from '../../serving/world.ts'
import { ask, createWorld, noon } from '../../serving/world.ts'
import { openLog } from './open-log.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay, amount, count, city, open, vec) values
      ('ATL', '2001-07-01T11:30:00.000001Z', 25, 0.1, 9007199254740993, E'At\\tlanta', true, '{3,NaN}'),
      ('JFK', '2001-07-01T11:00:00Z', 'NaN', null, null, null, null, null)
  `)
  for (const view of ['airport_delays', 'airport_typed']) await world.materialize(view)
  await world.push('echo', 'identity')
  await world.push('typed', 'named')
})
afterAll(() => world?.close())

const all: LogShares = { share: 1, models: new Map() }
const logging = (logShares: LogShares, logRetentionDays = 30) => ({ config: { bodyLimitBytes: 100_000, logShares, logRetentionDays } })

const logged = (requestId: string) =>
  world.db.query<Record<string, unknown>>('select * from lockstep.prediction_log where request_id = $1 order by entity', [requestId])

const metric = async (registry: Registry, name: string): Promise<number> =>
  Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(await registry.metrics())?.[1])

/** A server that closes gives its log two seconds, which a paused process may take. */
const written = (registry: Registry, rows: number) =>
  until(async () => (await metric(registry, 'lockstep_prediction_log_rows_total')) === rows)

const dropped = (registry: Registry, reason: string) => metric(registry, `lockstep_prediction_log_dropped_total{reason="${reason}"}`)

describe('the prediction log', () => {
  it('stores each row under the answered id, which is unique if a request id repeats', async () => {
    const { url, server, registry } = await world.serve(logging(all))
    await server.whenReady()
    const request = { model: 'echo', entities: ['ATL', 'JFK'].map((airport) => ({ airport, distance: 1 })) }
    const answers = []
    for (const headers of [{}, { 'x-request-id': 'twice"\\' }, { 'x-request-id': 'twice"\\' }])
      answers.push(await ask(url, '/v1/predict', request, headers))
    await written(registry, 6)
    await server.close()
    const [made, first, second] = answers.map(({ body }) => body.predictionIds)
    expect(made).toEqual([`${answers[0]?.body.requestId}/0`, `${answers[0]?.body.requestId}/1`])
    for (const ids of [first, second]) {
      expect(ids).toEqual([expect.stringMatching(/^twice"\\\.[0-9a-z]{8}\/0$/), expect.stringMatching(/^twice"\\\.[0-9a-z]{8}\/1$/)])
    }
    const answered = answers.flatMap(({ body }) => body.predictionIds)
    expect(new Set(answered).size).toBe(6)
    const rows = await world.db.query<{ id: string }>(
      'select prediction_id as id from lockstep.prediction_log where prediction_id = any ($1)',
      [answered],
    )
    expect(rows.map(({ id }) => id).toSorted()).toEqual(answered.toSorted())
  })

  it('has a row per entity, with exact values and their sources', async () => {
    const { url, server, registry } = await world.serve(logging(all))
    await server.whenReady()
    const headers = { 'x-request-id': 'echo-1' }
    const entities = [
      { airport: 'ATL', distance: 100 },
      { airport: 'XXX', distance: 1 },
      { airport: 'JFK', distance: 3 },
    ]
    const { body } = await ask(url, '/v1/predict', { model: 'echo', entities, include: ['frontiers'] }, headers)
    await ask(url, '/v1/predict', { model: 'typed', entities: [{ airport: 'ATL' }] }, { 'x-request-id': 'typed-1' })
    await ask(url, '/v1/predict', { model: 'echo', entities, asOf: '2001-07-01T11:20:00Z' }, { 'x-request-id': 'past-1' })
    await written(registry, 7)
    await server.close()
    expect(await metric(registry, 'lockstep_prediction_log_rows_total')).toBe(7)
    expect(await metric(registry, 'lockstep_prediction_log_waiting_rows')).toBe(0)

    const rows = await logged('echo-1')
    expect(rows).toHaveLength(3)
    expect(rows[0]).toMatchObject({
      at: new Date(noon / 1000),
      as_of: new Date(noon / 1000),
      entity: 0,
      model: 'echo',
      version: 1,
      service: 'flight@1',
      service_fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      entities: [Buffer.from('airport\0ATL\0')],
      keys: { airport: 'ATL' },
      request: { distance: 100 },
      features: { lastDelay: 25, landed1h: 1, pressure: 0.25 },
      statuses: {},
      reads: [
        {
          view: 'airport_delays@1',
          alias: null,
          fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
          from: 'state',
          frontier: expect.stringMatching(/^\d+/),
          eventTime: '2001-07-01T11:30:00.000001Z',
        },
      ],
      outputs: { out: [25, 1, 0.25] },
      latency_micros: expect.any(Number),
      api_key: null,
      degraded: false,
      skewed: false,
    })
    expect(rows[0]?.['reads']).toMatchObject([{ frontier: body.frontiers?.['airport_delays@1'] }])
    expect(rows[1]).toMatchObject({
      keys: { airport: 'XXX' },
      features: { lastDelay: null, landed1h: 0, pressure: null },
      statuses: { lastDelay: 'NOT_FOUND', landed1h: 'NOT_FOUND', pressure: 'NULL_VALUE' },
      reads: [{ from: 'state', frontier: null, eventTime: null }],
      outputs: { out: ['NaN', 0, 'NaN'] },
    })
    expect(rows[2]).toMatchObject({ features: { lastDelay: 'NaN' }, outputs: { out: ['NaN', 1, 'NaN'] } })

    const [typed] = await world.db.query<{ features: string; outputs: string }>(
      `select features::text, outputs::text from lockstep.prediction_log where request_id = 'typed-1'`,
    )
    expect(typed?.features).toBe(
      `{"amount":${Math.fround(0.1)},"count":"9007199254740993","city":"At\\tlanta","open":true,"vec":[3,"NaN"]}`,
    )
    expect(typed?.outputs).toContain('"count_out":"9007199254740993"')
    expect(await logged('past-1')).toMatchObject([
      { as_of: new Date('2001-07-01T11:20:00Z'), reads: [{ from: 'history', frontier: expect.stringMatching(/^\d+/) as string }] },
      { reads: [{ from: 'history' }] },
      { reads: [{ from: 'state' }] },
    ])
  })

  it('samples the configured share per model, with the same requests on every server', async () => {
    const sampling = createSampling(parseLogShares('0.01,all=1,none=0')!)
    const ids = Array.from({ length: 100_000 }, (_, i) => `request-${i}`)
    const taken = ids.filter((id) => sampling.takes('m', id))
    expect(taken.length).toBeGreaterThan(850)
    expect(taken.length).toBeLessThan(1150)
    expect(taken).toEqual(ids.filter((id) => createSampling({ share: 0.01, models: new Map() }).takes('other', id)))
    expect([sampling.takes('all', 'x'), sampling.takes('none', taken[0]!)]).toEqual([true, false])
  })

  it('has no request that was answered too late', async () => {
    const { url, server, registry } = await world.serve(logging(all))
    await server.whenReady()
    const inputs = [
      { name: 'airport', shape: [1], datatype: 'BYTES', data: ['ATL'] },
      { name: 'distance', shape: [1], datatype: 'FP64', data: [1] },
    ]
    const infer = (requestId: string, timeout: number) =>
      ask(url, '/v2/models/echo/infer', { inputs, parameters: { timeout } }, { 'x-request-id': requestId })
    expect((await infer('oip-late', 1)).status).toBe(504)
    expect((await infer('oip-in-time', 10_000_000)).status).toBe(200)
    await written(registry, 1)
    await server.close()
    expect([await logged('oip-late'), await logged('oip-in-time')]).toMatchObject([[], [{ entity: 0 }]])
  })

  it('retains nothing of a connection with its entries', async () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const came: WeakRef<ArrayBufferLike>[] = []
    const { url, server, registry } = await world.serve({
      ...logging(all),
      predictionLog: { flushMs: 60_000 },
      async store() {
        const store = world.openStore()
        const read: OnlineStore['read'] = async (...asked) => {
          const values = await store.read(...asked)
          for (const bytes of values) if (bytes !== null) came.push(new WeakRef(bytes.buffer))
          return values
        }
        return { ...store, read }
      },
    })
    await server.whenReady()
    const predict = (airport: string) => ask(url, '/v1/predict', { model: 'typed', entities: [{ airport }] })
    expect((await predict('ATL')).status).toBe(200)
    const before = came.splice(0)
    expect(before).not.toEqual([])
    // the store holds on to what it read last
    expect((await predict('JFK')).status).toBe(200)
    expect(await metric(registry, 'lockstep_prediction_log_waiting_rows')).toBe(2)
    const retained = () => {
      gc()
      return before.flatMap((buffer) => buffer.deref()?.byteLength ?? [])
    }
    await expect.poll(retained, { timeout: 30_000 }).toEqual([])
    expect(await metric(registry, 'lockstep_prediction_log_waiting_rows')).toBe(2)
    await server.close()
  })

  it('creates the days that it writes, and drops expired ones', async () => {
    // servers of the other tests may have ended before they created the second one
    await predictionPartitions.create(world.db, [dayOf(noon), dayOf(noon) + 1])
    const { url, server } = await world.serve({ ...logging(all), clock: () => noon + 10 * 86_400_000_000 })
    await server.whenReady()
    await ask(url, '/v1/predict', { model: 'typed', entities: [{ airport: 'ATL' }] }, { 'x-request-id': 'late-1' })
    await until(async () => (await logged('late-1')).length === 1)
    const days = async () =>
      (
        await world.db.query<{ name: string }>(
          `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'lockstep.prediction_log'::regclass order by 1`,
        )
      ).map(({ name }) => name.slice(-8))
    await until(async () => (await days()).length === 4)
    expect(await days()).toEqual(['20010701', '20010702', '20010711', '20010712'])
    await server.close()
    const log = createPredictionLog(
      {
        database: () => world.db,
        metrics: () => ({ written: () => undefined, dropped: () => undefined }),
        log: createLogger('silent'),
        clock: () => noon + 10 * 86_400_000_000,
      },
      { shares: all, retentionDays: 3 },
    )
    await log.dropOld()
    await log.close(100)
    expect(await days()).toEqual(['20010711', '20010712'])

    // a clock that is ahead drops nothing that is young by the database's
    const today = dayOf(Date.now() * 1000)
    await predictionPartitions.create(world.db, [today])
    const ahead = createPredictionLog(
      {
        database: () => world.db,
        metrics: () => ({ written: () => undefined, dropped: () => undefined }),
        log: createLogger('silent'),
        clock: () => Date.now() * 1000 + 40 * 86_400_000_000,
      },
      { shares: all, retentionDays: 3 },
    )
    await ahead.dropOld()
    await ahead.close(100)
    expect(await days()).toEqual([new Date(today * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '')])
  })
})

describe('the prediction log of the embedded database', () => {
  it('is written too', async () => {
    const { db, close } = await openEmbedded()
    const log = openLog(db, noon)
    log.note(['A', 'B'], ['B', 'C'])
    await log.close()
    const rows = await db.query('select entity, keys, entities from lockstep.prediction_log order by entity')
    expect(rows.map((row) => row['keys'])).toEqual([
      { airport: 'A', destination: 'B' },
      { airport: 'B', destination: 'C' },
    ])
    await close()
  })
})

describe('a prediction log whose PostgreSQL is down', () => {
  it('neither slows nor fails predictions, counts what it drops, and writes again', async () => {
    const gate = await gated(world.postgresUrl)
    const { url, server, registry } = await world.serve({
      ...logging(all),
      predictionLog: { maxValues: 400 },
      database: async () => openPostgres(gate.through(world.postgresUrl)),
    })
    await server.whenReady()
    const predict = async (id: string) => {
      const { status } = await ask(url, '/v1/predict', { model: 'typed', entities: [{ airport: 'ATL' }] }, { 'x-request-id': id })
      expect(status).toBe(200)
    }
    await predict('before-1')
    await until(async () => (await logged('before-1')).length === 1)
    await gate.shut()
    for (let i = 0; i < 100; i++) await predict(`away-${i}`)
    expect(await metric(registry, 'lockstep_prediction_log_waiting_rows')).toBeLessThan(25)
    const full = await dropped(registry, 'full')
    expect(full).toBeGreaterThan(70)
    await gate.open()
    await until(async () => (await metric(registry, 'lockstep_prediction_log_waiting_rows')) === 0)
    await predict('after-1')
    await until(async () => (await logged('after-1')).length === 1)
    const lost = await dropped(registry, 'lost')
    const [kept] = await world.db.query<{ n: number }>(
      `select count(*)::int4 as n from lockstep.prediction_log where request_id like 'away-%'`,
    )
    expect(kept?.n).toBe(100 - full - lost)
    expect(kept?.n).toBeGreaterThan(0)
    await server.close()
    await gate.shut()
  })

  it('neither slows nor fails predictions while its table is locked, in bounded memory', async () => {
    const { url, server, registry } = await world.serve({ ...logging(all), predictionLog: { maxValues: 400 } })
    await server.whenReady()
    await world.db.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep.prediction_log in access exclusive mode`.execute(transaction)
      for (let i = 0; i < 100; i++) {
        const { status } = await ask(
          url,
          '/v1/predict',
          { model: 'typed', entities: [{ airport: 'ATL' }] },
          { 'x-request-id': `held-${i}` },
        )
        expect(status).toBe(200)
      }
      expect(await dropped(registry, 'full')).toBeGreaterThan(50)
    })
    await written(registry, 100 - (await dropped(registry, 'full')))
    await server.close()
    const [kept] = await world.db.query<{ n: number }>(
      `select count(*)::int4 as n from lockstep.prediction_log where request_id like 'held-%'`,
    )
    expect(kept?.n).toBe(100 - (await dropped(registry, 'full')))
  })
})
