import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay) values
      ('ATL', '2001-07-01T11:30:00.5Z', 25),
      ('JFK', '2001-06-01T00:00:00Z', 7),
      ('5', '2001-07-01T11:00:00Z', 1),
      ('NAN', '2001-07-01T11:00:00Z', 'NaN'),
      ('NUL', '2001-07-01T11:00:00Z', null);
    insert into lockstep_source.balances (account, at, balance) values
      (9007199254740993, '2001-07-01T00:00:00Z', 9223372036854775807), (5, '2001-07-01T00:00:00Z', 1);
  `)
  for (const view of ['airport_delays', 'airport_typed', 'account_balance']) await world.materialize(view)
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

const read = async (body: unknown) => await ask(url, '/get-online-features', body)
const epoch = '1970-01-01T00:00:00Z'

describe('POST /get-online-features', () => {
  it('answers by column: the sent entities, then features with statuses and times', async () => {
    const airports = ['ATL', 'JFK', 'XXX', 'NUL', 'NAN']
    const { status, body } = await read({
      features: ['airport_delays:lastDelay', 'airport_delays:landed1h'],
      entities: { airport: airports },
    })
    expect(status).toBe(200)
    expect(body).toEqual({
      metadata: { feature_names: ['airport', 'lastDelay', 'landed1h'] },
      results: [
        { values: airports, statuses: airports.map(() => 'PRESENT'), event_timestamps: airports.map(() => epoch) },
        {
          values: [25, null, null, null, null],
          statuses: ['PRESENT', 'OUTSIDE_MAX_AGE', 'NOT_FOUND', 'NULL_VALUE', 'INVALID'],
          event_timestamps: ['2001-07-01T11:30:00.500000Z', '2001-06-01T00:00:00Z', epoch, '2001-07-01T11:00:00Z', '2001-07-01T11:00:00Z'],
        },
        {
          values: [1, 0, 0, 1, 1],
          statuses: ['PRESENT', 'PRESENT', 'NOT_FOUND', 'PRESENT', 'PRESENT'],
          event_timestamps: expect.any(Array),
        },
      ],
    })
  })

  it('takes a version, full names, and views of both kinds with their request data', async () => {
    const { body } = await read({
      features: ['airport_delays@v1:lastDelay', 'flight_context:pressure', 'airport_delays:landed1h', 'airport_typed@latest:city'],
      entities: { airport: ['ATL'], distance: [100] },
      full_feature_names: true,
      include_feature_view_version_metadata: true,
    })
    expect(body).toMatchObject({
      metadata: {
        feature_names: [
          'airport',
          'distance',
          'airport_delays@v1__lastDelay',
          'flight_context__pressure',
          'airport_delays__landed1h',
          'airport_typed__city',
        ],
        feature_view_metadata: [
          { name: 'airport_delays', version: 1 },
          { name: 'flight_context', version: 1 },
          { name: 'airport_typed', version: 1 },
        ],
      },
      results: [{ values: ['ATL'] }, { values: [100] }, { values: [25] }, { values: [0.25] }, { values: [1] }, { values: ['nowhere'] }],
    })
  })

  it('answers a feature service, with its aliases', async () => {
    const request = { feature_service: 'route', entities: { airport: ['ATL'], destination: ['JFK'] } }
    const { body } = await read(request)
    const names = (answer: unknown) => (answer as { metadata: { feature_names: string[] } }).metadata.feature_names
    expect(names(body)).toEqual(['airport', 'destination', 'lastDelay', 'landed1h', 'destination__lastDelay', 'destination__landed1h'])
    const full = await read({ ...request, full_feature_names: true })
    expect(names(full.body).slice(2)).toEqual([
      'airport_delays__lastDelay',
      'airport_delays__landed1h',
      'destination__lastDelay',
      'destination__landed1h',
    ])
  })

  it('converts between "5" and 5, echoes keys as sent, and is exact beyond 2^53', async () => {
    const texts = await read({ features: ['airport_delays:lastDelay'], entities: { airport: [5, '5'] } })
    expect(texts.body.results).toMatchObject([{ values: [5, '5'] }, { values: [1, 1] }])
    const numbers = await read('{"features":["account_balance:balance"],"entities":{"id":[9007199254740993,"5",5]}}')
    expect(numbers.text).toContain('"values":[9007199254740993,"5",5]')
    expect(numbers.text).toContain('"values":[9223372036854775807,1,1]')
    const byEntity = await read({ features: ['account_balance:balance'], entities: { account: [5], airport: ['ATL'] } })
    expect(byEntity.body.results).toMatchObject([{ values: [5] }, { values: ['ATL'] }, { values: [1] }])
  })

  it.each([
    [404, 'FeatureViewNotFoundException', { features: ['nothing:x'], entities: { airport: ['ATL'] } }],
    [404, 'FeatureViewNotFoundException', { features: ['airport_delays@v9:lastDelay'], entities: { airport: ['ATL'] } }],
    [404, 'FeatureViewNotFoundException', { features: ['airport_delays:lastDelaz'], entities: { airport: ['ATL'] } }],
    [404, 'FeatureServiceNotFoundException', { feature_service: 'nothing', entities: { airport: ['ATL'] } }],
    [400, 'FeastError', { features: ['airport_delays'], entities: { airport: ['ATL'] } }],
    [400, 'FeastError', { features: ['airport_delays:lastDelay', 'airport_delays@v1:lastDelay'], entities: { airport: ['ATL'] } }],
    [400, 'FeastError', { entities: { airport: ['ATL'] } }],
    [400, 'FeastError', { features: ['airport_delays:lastDelay'], entities: {} }],
    [400, 'FeastError', { features: ['airport_delays:lastDelay'], entities: { airport: ['ATL'], id: [1, 2] } }],
    [400, 'FeastError', { features: ['airport_delays:lastDelay'], entities: { airport: ['ATL'], nobody: [1] } }],
    [400, 'FeastError', { features: ['airport_delays:lastDelay'], entities: { airport: [null] } }],
    [400, 'FeastError', { features: ['airport_delays:lastDelay'], entities: ['ATL'] }],
    [
      400,
      'FeastError',
      `{"features":["airport_delays:lastDelay"],"entities":{"airport":["ATL"],"id":[${'['.repeat(10_000)}${']'.repeat(10_000)}]}}`,
    ],
  ])('refuses with %s and a %s what it cannot answer', async (status, name, request) => {
    const answer = await read(request)
    const told = JSON.parse(answer.body as unknown as string) as Record<string, string>
    expect([answer.status, told['module'], told['class']]).toEqual([status, 'feast.errors', name])
    expect(told['message']).toMatch(/\S.*\.$/)
  })
})

describe('POST /push', () => {
  it("writes the rows of a data frame, with a Feast client's names for their times", async () => {
    const df = {
      airport: ['PSH', 'PSH'],
      event_timestamp: ['2001-07-01T11:00:00', '2001-07-01T11:10:00'],
      created: [null, null],
      delay: [3, 4],
    }
    const nulls = Object.fromEntries(['amount', 'count', 'city', 'open', 'vec'].map((name) => [name, [null, null]]))
    const pushed = await ask(url, '/push', { push_source_name: 'landings', df: { ...df, ...nulls }, to: 'online_and_offline' })
    expect([pushed.status, pushed.text]).toEqual([200, 'null'])
    const { body } = await read({ features: ['airport_delays:lastDelay', 'airport_delays:landed1h'], entities: { airport: ['PSH'] } })
    expect(body.results).toMatchObject([{}, { values: [4] }, { values: [2] }])
  })

  it('refuses an unknown source and columns of different lengths', async () => {
    const unknown = await ask(url, '/push', { push_source_name: 'nothing', df: { a: [1] } })
    expect([unknown.status, unknown.text]).toEqual([404, expect.stringContaining('PushSourceNotFoundException')])
    const uneven = await ask(url, '/push', { push_source_name: 'landings', df: { airport: ['A'], delay: [1, 2] } })
    expect([uneven.status, uneven.text]).toEqual([400, expect.stringContaining('1')])
  })
})

describe('POST /write-to-online-store', () => {
  const others = Object.fromEntries(['amount', 'count', 'city', 'open', 'vec'].map((name) => [name, [null]]))
  const write = (name: string, df: object) =>
    ask(url, '/write-to-online-store', { feature_view_name: name, df, allow_registry_cache: false })

  it('writes rows of a feature view to its source, for the online store only', async () => {
    const rows = { airport: ['WRT'], event_timestamp: ['2001-07-01T11:20:00'], created: [null], lastDelay: [8], ...others }
    const written = await write('airport_delays', rows)
    expect([written.status, written.text]).toEqual([200, 'null'])
    const { body } = await read({ features: ['airport_delays:lastDelay'], entities: { airport: ['WRT'] } })
    expect(body.results).toMatchObject([{}, { values: [8], event_timestamps: ['2001-07-01T11:20:00Z'] }])
    const stored = await world.db.query(`select delay, _online_only from lockstep_source.landings where airport = 'WRT'`)
    expect(stored).toEqual([{ delay: 8, _online_only: true }])
  })

  it("takes the entity's name for a key, where the source's column has another", async () => {
    const df = { id: [77], event_timestamp: ['2001-07-01T11:20:00'], balance: [3], seen: [null] }
    expect((await write('account_balance', df)).status).toBe(200)
    const { body } = await read({ features: ['account_balance:balance'], entities: { id: [77] } })
    expect(body.results).toMatchObject([{}, { values: [3] }])
  })

  it('refuses an unknown view, and a feature that is computed', async () => {
    const unknown = await write('nothing', { airport: ['A'] })
    expect([unknown.status, unknown.text]).toEqual([404, expect.stringContaining('FeatureViewNotFoundException')])
    const computed = await write('airport_delays', { airport: ['A'], event_timestamp: ['2001-07-01T11:20:00'], landed1h: [1], ...others })
    expect(computed.status).toBe(400)
    expect(computed.text).toMatch(/"landed1h.* of view .*airport_delays.* to the source .*landings/)
  })

  it('refuses two values for one column, of which one would be lost', async () => {
    const times = { event_timestamp: ['2001-07-01T11:20:00'] }
    const both = await write('airport_delays', { airport: ['A'], ...times, lastDelay: [8], delay: [9], ...others })
    expect([both.status, both.text]).toEqual([400, expect.stringMatching(/lastDelay.* and .*delay.* the column .*delay.* of the source/)])
    const df = { airport: ['A'], ...times, at: ['2001-07-02T11:20:00'], delay: [9], ...others }
    const pushed = await ask(url, '/push', { push_source_name: 'landings', df })
    expect([pushed.status, pushed.text]).toEqual([400, expect.stringMatching(/event_timestamp.* and .*at.* the column/)])
  })
})

describe('POST /materialize', () => {
  it('materializes new arrivals incrementally, and answers when they are online', async () => {
    await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('NEW', '2001-07-01T11:00:00Z', 9)`)
    const done = await ask(url, '/materialize-incremental', { end_ts: '2001-07-01T12:00:00', feature_views: ['airport_delays'] })
    expect([done.status, done.text]).toEqual([200, 'null'])
    const { body } = await read({ features: ['airport_delays:lastDelay'], entities: { airport: ['NEW'] } })
    expect(body.results).toMatchObject([{}, { values: [9] }])
  })

  it('starts backfills without waiting, one per view at a time', async () => {
    const range = { start_ts: '2001-01-01T00:00:00', end_ts: '2001-08-01T00:00:00', feature_views: ['airport_delays'] }
    const accepted = { status: 'accepted', feature_views: ['airport_delays'] }
    expect(await ask(url, '/materialize?async=true', range)).toMatchObject({ status: 202, body: accepted })
    await expect
      .poll(async () => (await ask(url, '/v1/jobs')).body, { timeout: 60_000 })
      .toMatchObject({ jobs: [{ kind: 'backfill', state: 'running' }] })
    expect(await ask(url, '/materialize?async=true', range)).toMatchObject({ status: 409, body: { feature_views: ['airport_delays'] } })
  })

  it('stops waiting if no worker runs a backfill, and says what to do', async () => {
    const patient = await world.serve({ idleBackfillMs: 300 })
    await patient.server.whenReady()
    const range = { start_ts: '2001-01-01', end_ts: '2001-08-01', feature_views: ['airport_typed'] }
    const { status, text } = await ask(patient.url, '/materialize', range)
    expect([status, text]).toEqual([503, expect.stringMatching(/The backfill .* has 0 of \d+ chunks done, and made no progress for 0.3 s/)])
    expect(text).toContain('lockstep worker')
    expect((await ask(url, '/v1/jobs')).body).toMatchObject({
      jobs: expect.arrayContaining([{ subject: 'airport_typed@1', state: 'running' }].map((each) => expect.objectContaining(each))),
    })
    await patient.server.close()
  })

  it('refuses an empty range and a view that is not online', async () => {
    const range = { start_ts: '2001-01-01', end_ts: '2001-01-01T00:00:00' }
    expect((await ask(url, '/materialize', range)).status).toBe(400)
    expect((await ask(url, '/materialize', { end_ts: '2001-01-01T00:00:00Z' })).status).toBe(400)
    const offline = { end_ts: '2001-01-01T00:00:00Z', feature_views: ['airport_offline'] }
    expect((await ask(url, '/materialize-incremental', offline)).status).toBe(400)
  })
})

describe('GET /health', () => {
  it('is 200 without a body once requests can be answered', async () => {
    const { status, text } = await ask(url, '/health')
    expect([status, text]).toEqual([200, ''])
  })
})
