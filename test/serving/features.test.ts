import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { covers, parseFrontier } from '../../kernel/states/frontier.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { hour } from './definitions.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

describe.each(['redis', 'embedded'] as const)('POST /v1/features over the %s store', (kind) => {
  let world: World
  let url: string
  let registry: import('prom-client').Registry

  beforeAll(async () => {
    world = await createWorld(kind)
    await world.db.script(`
      insert into lockstep_source.landings (airport, at, delay, amount, count, city, open, vec) values
        ('ATL', '2001-07-01T10:00:00Z', 5, 0.5, 1, 'Atlanta', false, '{1,2}'),
        ('ATL', '2001-07-01T11:30:00Z', 25, 0.1, 9007199254740993, 'Zürich "x"', true, '{3,4}'),
        ('JFK', '2001-06-01T00:00:00Z', 7, null, null, null, null, null),
        ('NAN', '2001-07-01T11:00:00Z', 'NaN', 'Infinity', -9223372036854775808, '', false, '{NaN,1}');
      insert into lockstep_source.balances (account, at, balance, seen) values
        (9007199254740993, '2001-07-01T00:00:00Z', 9223372036854775807, '2001-01-02T03:04:05.000006Z'),
        (9007199254740992, '2001-07-01T00:00:00Z', 1, null);
    `)
    for (const view of ['airport_delays', 'airport_typed', 'airport_required', 'account_balance']) await world.materialize(view)
    const served = await world.serve()
    url = served.url
    registry = served.registry
    await served.server.whenReady()
  })
  afterAll(() => world?.close())

  it('answers with the request id that was sent, for any ASCII text', async () => {
    const id = String.fromCharCode(...Array.from({ length: 0x7e - 0x21 + 1 }, (_, i) => 0x21 + i))
    const { status, headers, body } = await ask(
      url,
      '/v1/features',
      { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] },
      { 'x-request-id': id },
    )
    expect([status, headers.get('x-request-id'), body]).toEqual([200, id, expect.objectContaining({ requestId: id })])
  })

  it('answers values and statuses in entity order, with version and request id', async () => {
    const { status, headers, body } = await ask(url, '/v1/features', {
      service: 'flight',
      entities: [
        { airport: 'ATL', distance: 100 },
        { airport: 'JFK', distance: 10 },
        { airport: 'XXX', distance: 1 },
      ],
    })
    expect(status).toBe(200)
    expect(body).toMatchObject({ service: 'flight', version: 1, asOf: '2001-07-01T12:00:00Z', requestId: headers.get('x-request-id') })
    expect(body.skewed).toBeUndefined()
    expect(body.results).toEqual([
      {
        features: { lastDelay: 25, landed1h: 1, pressure: 0.25 },
        statuses: { lastDelay: 'PRESENT', landed1h: 'PRESENT', pressure: 'PRESENT' },
      },
      {
        features: { lastDelay: null, landed1h: 0, pressure: null },
        statuses: { lastDelay: 'OUTSIDE_MAX_AGE', landed1h: 'PRESENT', pressure: 'NULL_VALUE' },
      },
      {
        features: { lastDelay: null, landed1h: 0, pressure: null },
        statuses: { lastDelay: 'NOT_FOUND', landed1h: 'NOT_FOUND', pressure: 'NULL_VALUE' },
      },
    ])
  })

  it('answers event times on request', async () => {
    const { body } = await ask(url, '/v1/features', {
      service: 'flight',
      entities: [{ airport: 'ATL', distance: 1 }],
      include: ['eventTimes'],
    })
    expect(body.results[0]?.eventTimes).toEqual({ lastDelay: '2001-07-01T11:30:00Z', landed1h: '2001-07-01T11:30:00Z', pressure: null })
  })

  it('answers on request which rows it knew, as the transactions that are in it', async () => {
    const include = ['frontiers']
    const [row] = await world.db.query<{ last: string }>(`select max(_xid::text::bigint) last from lockstep_source.landings`)
    const { body } = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }], include })
    expect(Object.keys(body.frontiers ?? {})).toEqual(['airport_delays@1'])
    const frontier = parseFrontier(body.frontiers?.['airport_delays@1'] ?? '')
    expect([covers(frontier, Number(row?.last)), covers(frontier, 2 ** 50)]).toEqual([true, false])
    const unknown = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'XXX', distance: 1 }], include })
    expect(unknown.body.frontiers).toEqual({ 'airport_delays@1': null })
    expect(
      (await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] })).body.frontiers,
    ).toBeUndefined()
  })

  it('reads one view under two aliases', async () => {
    const { body } = await ask(url, '/v1/features', { service: 'route', entities: [{ airport: 'ATL', destination: 'JFK' }] })
    expect(body.results[0]?.features).toMatchObject({ lastDelay: 25, destination__lastDelay: null, destination__landed1h: 0 })
  })

  it('writes int64 as exact integers, other types as JSON, and INVALID values as null', async () => {
    const { text, body } = await ask(url, '/v1/features', {
      service: 'typed',
      entities: [{ airport: 'ATL' }, { airport: 'NAN' }, { airport: 'JFK' }],
    })
    expect(text).toContain('"count":9007199254740993')
    expect(text).toContain('"count":-9223372036854775808')
    const [atlanta, nan, york] = body.results
    expect(atlanta?.features).toMatchObject({ amount: Math.fround(0.1), city: 'Zürich "x"', open: true, vec: [3, 4] })
    expect(nan?.features).toMatchObject({ amount: null, vec: [null, 1], city: '' })
    expect(nan?.statuses).toMatchObject({ amount: 'INVALID', vec: 'INVALID', city: 'PRESENT' })
    expect(york?.features).toEqual({ amount: null, count: 0, city: 'nowhere', open: false, vec: null })
    expect(new Set(Object.values(york?.statuses ?? {}))).toEqual(new Set(['NULL_VALUE']))
  })

  it('takes int64 keys beyond 2^53 as literals and as texts, exactly', async () => {
    const body = '{"service":"accounts","entities":[{"id":9007199254740993},{"id":"9007199254740992"}]}'
    const { text } = await ask(url, '/v1/features', body)
    expect(text).toContain('"balance":9223372036854775807,"seen":"2001-01-02T03:04:05.000006Z"')
    expect(text).toContain('"balance":1,"seen":null')
  })

  it('answers an earlier moment than the stored one from history, with equal values', async () => {
    const entities = [
      { airport: 'ATL', distance: 1 },
      { airport: 'XXX', distance: 1 },
    ]
    const then = await ask(url, '/v1/features', { service: 'flight', entities, asOf: '2001-07-01T11:00:00Z', include: ['eventTimes'] })
    expect(then.body).toMatchObject({ asOf: '2001-07-01T11:00:00Z' })
    expect(then.body.results[0]).toMatchObject({
      features: { lastDelay: 5, landed1h: 1 },
      eventTimes: { lastDelay: '2001-07-01T10:00:00Z' },
    })
    expect(then.body.results[1]?.statuses).toMatchObject({ lastDelay: 'NOT_FOUND', landed1h: 'NOT_FOUND' })
    const micros = await ask(url, '/v1/features', { service: 'flight', entities, asOf: noon - hour })
    expect(micros.body.results.map((result) => result.features)).toEqual(then.body.results.map((result) => result.features))
    expect(await registry.metrics()).toContain('lockstep_history_answers_total{service="flight@1"} 4')
  })

  it('reads a view that is not kept online from the history', async () => {
    const { body } = await ask(url, '/v1/features', { service: 'history', entities: [{ airport: 'ATL' }, { airport: 'XXX' }] })
    expect(body.results[0]?.features).toEqual({ offlineDelay: 25, lastDelay: 25, landed1h: 1 })
    expect(body.results[1]?.statuses.offlineDelay).toBe('NOT_FOUND')
  })

  it('uses one moment for views and on-demand code, and flags a clock that is behind', async () => {
    const behind = noon - 5 * hour
    const slow = await world.serve({ clock: () => behind })
    await slow.server.whenReady()
    const entities = [
      { airport: 'ATL', distance: 1 },
      { airport: 'NAN', distance: 1 },
    ]
    const { body } = await ask(slow.url, '/v1/features', { service: 'moment', entities })
    expect(body).toMatchObject({ skewed: true, asOf: '2001-07-01T11:30:00Z' })
    expect(body.results.map((result) => result.features.micros)).toEqual(['2001-07-01T11:30:00Z', '2001-07-01T11:30:00Z'])
    expect(body.results[0]?.features.lastDelay).toBe(25)
    const asked = await ask(slow.url, '/v1/features', { service: 'moment', entities, asOf: formatTimestamp(behind) })
    expect(asked.body.skewed).toBeUndefined()
    expect(asked.body.results[0]?.statuses.lastDelay).toBe('NOT_FOUND')
    await slow.server.close()
  })

  it('uses the moment configured at start if a request has none', async () => {
    const past = await world.serve({ defaultAsOf: noon - 90 * 60_000_000 })
    await past.server.whenReady()
    const entities = [{ airport: 'ATL', distance: 1 }]
    expect((await ask(past.url, '/v1/features', { service: 'flight', entities })).body).toMatchObject({
      asOf: '2001-07-01T10:30:00Z',
      results: [{ features: { lastDelay: 5 } }],
    })
    expect((await ask(past.url, '/v1/features', { service: 'flight', entities, asOf: noon })).body.results[0]?.features.lastDelay).toBe(25)
    await past.server.close()
  })

  it('refuses an entity without a required feature, naming its index and the features', async () => {
    const good = await ask(url, '/v1/features', { service: 'strict', entities: [{ airport: 'ATL' }] })
    expect(good.body.results[0]?.features).toEqual({ neededDelay: 25 })
    const { status, body } = await ask(url, '/v1/features', { service: 'strict', entities: [{ airport: 'ATL' }, { airport: 'XXX' }] })
    expect(status).toBe(422)
    expect(body.error).toMatchObject({ code: 'REQUIRED_FEATURE_MISSING', details: { entity: 1, features: ['neededDelay'] } })
  })

  it('counts statuses, requests and moments without naming an entity', async () => {
    const text = await registry.metrics()
    expect(text).toMatch(/lockstep_feature_statuses_total\{service="flight@1",feature="lastDelay",status="OUTSIDE_MAX_AGE"\} \d+/)
    expect(text).toMatch(/lockstep_http_request_seconds_bucket\{le="0.0001",route="\/v1\/features",status="200"\}/)
    expect(text).not.toMatch(/ATL|JFK/)
    expect((await ask(url, '/metrics')).text).toContain('lockstep_http_request_seconds_count')
    expect(world.logged.some((line) => line.includes('"asOf":993988800000000') && line.includes('"frontiers"'))).toBe(true)
  })
})
