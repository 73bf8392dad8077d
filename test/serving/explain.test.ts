import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay) values
      ('ATL', '2001-07-01T11:30:00Z', 7),
      ('ATL', '2001-07-01T11:30:00Z', 25),
      ('ATL', '2001-07-01T10:00:00Z', 5),
      ('ATL', '2001-07-01T12:30:00Z', 99),
      ('OLD', '2001-06-01T00:00:00Z', 7),
      ('JFK', '2001-07-01T11:00:00Z', 1);
    insert into lockstep_source.balances (account, at, balance) values (5, '2001-07-01T00:00:00Z', 9223372036854775807);
  `)
  for (const view of ['airport_delays', 'account_balance']) await world.materialize(view)
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

const explain = async (body: unknown) => await ask(url, '/v1/explain', body)

describe('POST /v1/explain', () => {
  it('names the winning row, the rows it beat with reasons, and rows not yet visible', async () => {
    const { status, body } = await explain({ view: 'airport_delays', entity: { airport: 'ATL' } })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      view: 'airport_delays@1',
      asOf: '2001-07-01T12:00:00Z',
      views: [
        {
          key: { airport: 'ATL' },
          source: 'landings',
          rows: { visible: 3, notYetVisible: 1, dropped: 0 },
          notYetVisible: [{ visibleAt: '2001-07-01T12:30:00Z' }],
          features: [
            {
              feature: 'lastDelay',
              value: 25,
              status: 'PRESENT',
              ttl: '2d',
              winner: { eventTime: '2001-07-01T11:30:00Z', value: 25, row: 2 },
              beaten: [
                { value: 7, row: 1, why: 'smaller in the tie' },
                { value: 5, eventTime: '2001-07-01T10:00:00Z', why: 'earlier event' },
              ],
            },
            {
              feature: 'landed1h',
              value: 2,
              span: { from: '2001-07-01T11:00:00Z', to: '2001-07-01T12:00:00Z' },
              hop: '5m',
              counted: 2,
              outsideWindow: 1,
            },
          ],
        },
      ],
    })
  })

  it.each(['2001-07-01T09:00:00Z', '2001-07-01T10:59:59Z', '2001-07-01T11:03:00Z', '2001-07-01T13:00:00Z', '2001-07-05T00:00:00Z'])(
    'reports the features at %s',
    async (asOf) => {
      for (const airport of ['ATL', 'OLD', 'JFK', 'XXX']) {
        const answer = await ask(url, '/v1/features', { service: 'route', asOf, entities: [{ airport, destination: 'JFK' }] })
        const { body } = await explain({ service: 'route', asOf, entity: { airport, destination: 'JFK' } })
        const { views } = body as unknown as { views: { features: { value: unknown; status: string }[] }[] }
        const explained = views.flatMap(({ features }) => features)
        expect(explained.map(({ value }) => value)).toEqual(Object.values(answer.body.results[0]?.features ?? {}))
        expect(explained.map(({ status }) => status)).toEqual(Object.values(answer.body.results[0]?.statuses ?? {}))
      }
    },
  )

  it('explains the views of an on-demand feature for the given candidates, exactly', async () => {
    const flight = await explain({ service: 'flight', entity: { airport: 'ATL', distance: 3 }, candidates: 1 })
    expect(flight.body).toMatchObject({
      onDemand: [{ feature: 'pressure', view: 'flight_context@1' }],
      views: [
        {
          features: [
            { candidates: 3, beaten: [{ value: 7 }] },
            { counted: 2, newest: [{ row: 2 }] },
          ],
        },
      ],
    })
    const balance = await explain({ view: 'account_balance', entity: { id: '5' } })
    expect(balance.body).toMatchObject({ views: [{ key: { id: '5' }, features: [{ winner: { value: '9223372036854775807' } }, {}] }] })
  })

  it.each([
    [404, 'UNKNOWN_DEFINITION', { view: 'nothing', entity: {} }],
    [400, 'INVALID_REQUEST', { entity: {} }],
    [400, 'INVALID_REQUEST', { view: 'airport_delays', service: 'flight', entity: {} }],
    [400, 'INVALID_ENTITY', { view: 'airport_delays', entity: {} }],
    [400, 'INVALID_ENTITY', { view: 'airport_delays', entity: { airport: 5 } }],
    [400, 'INVALID_ENTITY', { view: 'airport_delays', entity: { airport: 'ATL', airprot: 'x' } }],
    [400, 'INVALID_TIME', { view: 'airport_delays', entity: { airport: 'ATL' }, asOf: 'never' }],
    [400, 'INVALID_TIME', { view: 'airport_delays', entity: { airport: 'ATL' }, asOf: 1_795_636_498_639 }],
  ])('refuses with %s %s what it cannot explain', async (status, code, body) => {
    const answer = await explain(body)
    expect([answer.status, answer.body.error.code]).toEqual([status, code])
  })

  it('does not query a database that has failed several times in a row', async () => {
    // the look at the database that would say that it is there comes after a minute
    const { url: at, server } = await world.serve({ pollMs: 60_000 })
    await server.whenReady()
    const other = openPostgres(world.postgresUrl)
    await other.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep_source.landings in access exclusive mode`.execute(transaction)
      const asked = () => ask(at, '/v1/explain', { view: 'airport_delays', entity: { airport: 'ATL' } })
      /** Ends the query of a request if it waits for the lock. @returns whether it did */
      const cut = async (): Promise<boolean> => {
        let [waited, over] = [false, false]
        const answer = asked().finally(() => (over = true))
        while (!over) {
          const ended = await world.db.query(
            `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
          waited ||= ended.length > 0
        }
        expect((await answer).body.error.code).toBe('POSTGRES_UNAVAILABLE')
        return waited
      }
      // on a slow machine a query may be let through to look whether the database is back
      await until(async () => !(await cut()))
      await until(async () => (await ask(at, '/metrics')).text.includes('lockstep_breaker_open{dependency="database"} 1'))
    })
    await other.close()
    await server.close()
  })
})
