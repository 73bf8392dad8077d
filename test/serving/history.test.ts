import { setTimeout } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { covers, parseFrontier } from '../../kernel/states/frontier.ts'
import { readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n, timestamptz '2001-07-01T11:00:00Z' + part * interval '30 minutes', n from generate_series(0, 699) n, generate_series(0, 1) part
  `)
  await world.materialize('airport_delays')
})
afterAll(() => world?.close())

const before = '2001-07-01T11:10:00Z'
const entity = (airport: string) => ({ airport, distance: 1 })

describe('the history', () => {
  it('reads each answer from one state of the data', async () => {
    let written = false
    // Between the first portion and the next a row arrives, for entities of either.
    const meddled = (db: Database): Database => ({
      ...db,
      snapshot: (fn) =>
        db.snapshot((snapshot) =>
          fn({
            ...snapshot,
            async *tuples(select) {
              yield* snapshot.tuples(select)
              if (written) return
              written = true
              await world.db.script(
                `insert into lockstep_source.landings (airport, at, delay) values ('A0', '2001-07-01T11:05:00Z', 1e6), ('A699', '2001-07-01T11:05:00Z', 1e6)`,
              )
            },
          }),
        ),
    })
    const { url, server } = await world.serve({ database: async () => meddled(openPostgres(world.postgresUrl)) })
    await server.whenReady()
    const entities = Array.from({ length: 700 }, (_, n) => entity(`A${n}`))
    const read = async () =>
      (await ask(url, '/v1/features', { service: 'flight', entities, asOf: before })).body.results.map(({ features }) => features.lastDelay)
    expect(await read()).toEqual(entities.map((_, n) => n))
    expect(written).toBe(true)
    expect((await read()).filter((delay) => delay === 1e6)).toHaveLength(2)
    await server.close()
  })

  it('answers a key that is not stored like a stored one, at a requested moment', async () => {
    const { url, server } = await world.serve()
    await server.whenReady()
    await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('NEW', '2001-07-01T11:00:00Z', 77)`)
    const [added] = await world.db.query<{ xid: string }>(`select max(_xid::text::bigint) xid from lockstep_source.landings`)
    const include = ['frontiers']
    const askPast = (airports: string[]) =>
      ask(url, '/v1/features', { service: 'flight', entities: airports.map(entity), asOf: before, include })
    const { body } = await askPast(['A1', 'NEW', 'NONE'])
    // the transactions are those of the history, which has rows that the store lacks
    expect(covers(parseFrontier(body.frontiers?.['airport_delays@1'] ?? ''), Number(added?.xid))).toBe(true)
    expect(body.results.map(({ features, statuses }) => [features.lastDelay, statuses.lastDelay])).toEqual([
      [1, 'PRESENT'],
      [77, 'PRESENT'],
      [null, 'NOT_FOUND'],
    ])
    await server.close()
  })

  it('answers for states that a failover may have lost', async () => {
    const view = 'airport_delays@1'
    const { url, server } = await world.serve()
    await server.whenReady()
    await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('LOST', '2001-07-01T11:00:00Z', 78)`)
    const delays = async () => {
      const { body } = await ask(url, '/v1/features', { service: 'flight', entities: ['A1', 'LOST', 'NONE'].map(entity) })
      return body.results.map(({ features, statuses }) => [features.lastDelay, statuses.lastDelay])
    }
    const [before, none] = await delays().then((all) => [all[0], all[2]])
    const checkpoint = await readCheckpoint(world.store, view)
    if (checkpoint === null) throw new Error('There is no checkpoint.')
    await writeCheckpoint(world.store, view, { ...checkpoint, setBack: true }, checkpoint)
    expect(await delays()).toEqual([before, [78, 'PRESENT'], none])
    await writeCheckpoint(world.store, view, checkpoint, checkpoint)
    expect(await delays()).toEqual([before, none, none])
    await server.close()
  })

  it('serves few requests at once; others wait, and the rest get BUSY', async () => {
    const { url, server } = await world.serve()
    await server.whenReady()
    const other = openPostgres(world.postgresUrl)
    const connections = async () =>
      (await world.db.query<{ n: number }>(`select count(*)::int n from pg_stat_activity where datname = current_database()`))[0]?.n ?? 0
    const idle = await connections()
    let answers: Promise<{ status: number; headers: Headers }[]> = Promise.resolve([])
    await other.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep_source.landings in access exclusive mode`.execute(transaction)
      const asked = Array.from({ length: 150 }, () =>
        ask(url, '/v1/features', { service: 'flight', entities: [entity('A1')], asOf: before }),
      )
      answers = Promise.all(asked)
      // All have come before the lock ends: one that came later would find a place that was freed.
      let refused = 0
      for (const one of asked) void one.then(() => refused++).catch(() => undefined)
      await until(async () => refused >= 46, 60_000)
      const first = await Promise.race(asked)
      expect([first.status, first.body.error.code, first.headers.get('retry-after')]).toEqual([503, 'BUSY', '1'])
      await setTimeout(200)
      expect((await connections()) - idle).toBeLessThan(12)
    })
    const statuses = (await answers).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(104)
    expect(statuses.filter((status) => status === 503)).toHaveLength(46)
    await until(async () => (await ask(url, '/v1/features', { service: 'flight', entities: [entity('A1')], asOf: before })).status === 200)
    await server.close()
    await other.close()
  })
})
