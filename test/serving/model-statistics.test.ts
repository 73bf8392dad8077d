import { afterAll, beforeAll, expect, it } from 'vitest'
import { statisticsAnswer } from '../../serving/protocols/http/monitoring/statistics-schemas.ts'
import { costFields } from '../../serving/protocols/http/monitoring/cost-route.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay, amount, count, city, open, vec) values
      ('ATL', '2001-07-01T11:30:00Z', 25, 0.5, 7, 'Atlanta', true, '{3,4}'),
      ('JFK', '2001-07-01T11:00:00Z', 'NaN', null, null, null, null, null)
  `)
  for (const view of ['airport_delays', 'airport_typed']) await world.materialize(view)
  await world.push('typed', 'named')
})
afterAll(() => world?.close())

const recorded = { config: { bodyLimitBytes: 100_000, rollups: { rowsPerSecond: 1000 } }, closeMs: 60_000 }

it('is what two servers have answered, by version, with errors, and values of every type', async () => {
  const statistics = `/v1/models/typed/statistics?from=2001-07-01T12:00:00Z&to=2001-07-01T12:01:00Z`
  for (const airports of [['ATL', 'ATL', 'JFK'], ['XXX']]) {
    const { url, server } = await world.serve(recorded)
    await server.whenReady()
    const answer = await ask(url, '/v1/predict', { model: 'typed', entities: airports.map((airport) => ({ airport })) })
    expect(answer.status).toBe(200)
    expect((await ask(url, '/v1/predict', { model: 'typed', entities: [{ airport: 7 }] })).status).toBe(400)
    expect((await ask(url, '/v1/predict', { model: 'nobody', entities: [{}] })).status).toBe(404)
    await server.close()
  }
  const { url, server } = await world.serve()
  await server.whenReady()
  const answer = await fetch(`${url}${statistics}&by=version,role&step=minute`)
  const body = statisticsAnswer.parse(await answer.json())
  expect(answer.status).toBe(200)
  expect(body).toMatchObject({
    model: 'typed',
    from: '2001-07-01T12:00:00Z',
    total: { requests: 4, rows: 4, sampledRows: 4, errors: { INVALID_ENTITY: 2 }, entities: 3 },
    groups: [{ version: 1, role: 'champion', requests: 4 }],
    coverage: { minutes: 1, missing: [] },
    processes: { errors: { INVALID_ENTITY: 2, UNKNOWN_DEFINITION: 2 } },
  })
  expect(body.total.columns).toMatchObject({
    amount: { statuses: { PRESENT: 2, NULL_VALUE: 1, NOT_FOUND: 1 }, nulls: 2, moments: { count: 2, mean: 0.5, deviation: 0 } },
    // defaults stand in for what is missing
    count: { statuses: { PRESENT: 2 }, nulls: 0, moments: { count: 4, mean: 3.5, greatest: 7 } },
    city: {
      values: {
        complete: true,
        top: [
          { value: 'Atlanta', count: 2 },
          { value: 'nowhere', count: 2 },
        ],
      },
    },
    open: {
      moments: { mean: 0.5 },
      values: {
        top: [
          { value: 'false', count: 2 },
          { value: 'true', count: 2 },
        ],
      },
    },
    vec: { nulls: 2, moments: null, values: null },
    'output:count_out': { statuses: { PRESENT: 4 }, moments: { mean: 3.5 } },
  })
  expect(body.series).toMatchObject([{ at: '2001-07-01T12:00:00Z', of: '1', figures: { requests: 4 } }])
  for (const query of ['step=second', 'since=never', 'from=2001-07-01T12:00:00Z&to=2001-07-01T12:00:00Z', 'since=365d&step=minute'])
    expect((await fetch(`${url}/v1/models/typed/statistics?${query}`)).status, query).toBe(400)
  expect((await fetch(`${url}/v1/models/nobody/statistics`)).status).toBe(404)
  // a server outlives a question about three centuries
  const always = await fetch(`${url}/v1/models/typed/statistics?from=1700-01-01&to=2020-01-01`)
  expect(statisticsAnswer.parse(await always.json())).toMatchObject({
    from: '1700-01-01T00:00:00Z',
    to: '2020-01-01T00:00:00Z',
    total: { requests: 4 },
    coverage: { minutes: 1 },
  })
})

it('the cost of what was answered is split by model and view, and what nothing used is named', async () => {
  const { url, server } = await world.serve({ clock: () => Date.parse('2001-07-01T12:01:00Z') * 1000 })
  await server.whenReady()
  const found = costFields.parse(await (await fetch(`${url}/v1/cost?since=1h`)).json())
  const [first, ...others] = found.models
  expect(first).toMatchObject({ model: 'typed', requests: 4, rows: 4, versions: 1 })
  expect(found.measuredMinutes).toBe(1)
  expect(first?.cpuSeconds).toBeGreaterThan(0)
  expect(first?.cpuSeconds).toBeLessThanOrEqual(found.cpuSeconds)
  expect(first?.cpuMicrosPerRow).toBeCloseTo(((first?.cpuSeconds ?? 0) * 1e6) / 4, 3)
  for (const other of others) expect(other).toMatchObject({ requests: 0, cpuSeconds: 0, cpuMicrosPerRow: null })
  const typed = found.views.find(({ view }) => view === 'airport_typed@1')
  expect(typed).toMatchObject({ states: 2, rows: 4, models: ['typed'] })
  expect(typed?.bytes).toBeGreaterThan(50)
  expect(found.online).toEqual({ sampledKeys: null, failure: null })
  const table = (await world.db.query<{ bytes: string }>(`select pg_total_relation_size('lockstep_source.landings')::text as bytes`))[0]
  expect(found.tables).toContainEqual({ table: 'lockstep_source.landings', bytes: Number(table?.bytes) })
  expect(found.unused).toContainEqual({ kind: 'model', name: 'echo', why: 'no request was counted' })
  expect(found.unused.map(({ name }) => name)).not.toContain('airport_typed@1')
  expect((await fetch(`${url}/v1/cost?since=never`)).status).toBe(400)
})
