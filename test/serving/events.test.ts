import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIdempotency, forgetIdempotent } from '../../serving/traffic/idempotency.ts'
import { sendHeaders } from './send-headers.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

for (const kind of ['redis', 'embedded'] as const) {
  describe(`pushing events over HTTP, with the ${kind} store`, () => {
    let world: World
    let url: string
    let metrics: () => Promise<string>
    beforeAll(async () => {
      world = await createWorld(kind)
      for (const view of ['airport_delays', 'airport_typed', 'airport_required']) await world.materialize(view)
      const { server, url: served, registry } = await world.serve()
      url = served
      metrics = () => registry.metrics()
      await server.whenReady()
    })
    afterAll(() => world?.close())

    const landing = (airport: string | null, delay: number | null, fields: object = {}) => ({
      airport,
      at: '2001-07-01T11:30:00Z',
      delay,
      amount: null,
      count: null,
      city: null,
      open: null,
      vec: null,
      ...fields,
    })
    const push = async (body: unknown, source = 'landings') => await ask(url, `/v1/sources/${source}/events`, body)
    const delays = async (airport: string, extra: object = {}) => {
      const { body } = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport, distance: 1 }], ...extra })
      return body.results[0]?.features
    }
    const stored = async (where: string) =>
      (await world.db.query<{ n: number }>(`select count(*)::int4 as n from lockstep_source.landings where ${where}`))[0]?.n

    it('answers when events are in the table and in the online store', async () => {
      const answer = await push({ events: [landing('ATL', 25), landing('ATL', 7, { at: '2001-07-01T11:20:00Z' })] })
      expect(answer.status).toBe(200)
      expect(answer.body).toMatchObject({ source: 'landings', accepted: 2, duplicates: 0, online: true, token: expect.any(String) })
      expect(await delays('ATL')).toMatchObject({ lastDelay: 25, landed1h: 2 })
      expect(await stored(`airport = 'ATL'`)).toBe(2)
    })

    it('accepts an event id once', async () => {
      const event = landing('IDS', 1, { _event_id: 'one' })
      expect((await push({ events: [event, landing('IDS', 2)] })).body).toMatchObject({ accepted: 2, duplicates: 0 })
      expect((await push({ events: [event] })).body).toMatchObject({ accepted: 0, duplicates: 1, online: true })
      expect(await delays('IDS')).toMatchObject({ landed1h: 2 })
    })

    it('processes an Idempotency-Key once, for any number of requests', async () => {
      const send = (events: readonly object[], key = 'k1') =>
        ask(url, '/v1/sources/landings/events', { events }, { 'idempotency-key': key })
      const events = [landing('KEY', 1), landing('KEY', 2)]
      const first = await send(events)
      expect([first.status, first.headers.get('idempotency-replayed')]).toEqual([200, null])
      const again = await send(events)
      expect([again.status, again.text, again.headers.get('idempotency-replayed')]).toEqual([200, first.text, 'true'])
      expect((await send([landing('KEY', 3)])).status).toBe(422)
      expect((await send(events, '"k1"')).text).toBe(first.text)
      // a server that died within it left its claim: once that has run out the request is done, and its events are
      // there
      await world.db.query(`update lockstep.idempotency_keys set status = null, busy_until = now() + interval '1 hour' where key = 'k1'`)
      const busy = await send(events)
      expect([busy.status, busy.body.error.code, busy.headers.get('retry-after')]).toEqual([409, 'IDEMPOTENCY_KEY_BUSY', '1'])
      await world.db.query(`update lockstep.idempotency_keys set busy_until = now() - interval '1 s' where key = 'k1'`)
      expect((await send(events)).body).toMatchObject({ accepted: 0, duplicates: 2 })
      expect(await stored(`airport = 'KEY'`)).toBe(2)
      await world.db.query(`update lockstep.idempotency_keys set created_at = now() - interval '25 hours' where key = 'k1'`)
      expect((await send([landing('KEY', 3)])).body).toMatchObject({ accepted: 1 })
      // an error is not kept
      expect((await send([{}], 'k2')).status).toBe(400)
      expect((await send([landing('KEY', 4)], 'k2')).body).toMatchObject({ accepted: 1 })
      const refuse = { owner: '', key: 'k3', fingerprint: 'f' }
      for (const status of [409, 202]) {
        const made = { status, contentType: null, body: null }
        expect(await createIdempotency(() => world.db).once(refuse, () => Promise.resolve(made))).toEqual(made)
      }
      expect((await send(events, 'x'.repeat(256))).status).toBe(400)
      const twoKeys = { 'content-type': 'application/json', 'idempotency-key': ['k4', 'k5'] }
      const refused = await sendHeaders(`${url}/v1/sources/landings/events`, twoKeys, JSON.stringify({ events }))
      expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('two \\"Idempotency-Key\\" headers')])
      await forgetIdempotent(world.db)
      expect(await world.db.query('select key from lockstep.idempotency_keys order by 1')).toEqual([
        { key: 'k1' },
        { key: 'k2' },
        { key: 'k3' },
      ])
    })

    it('keeps events exactly, also integers beyond 2^53', async () => {
      const body = JSON.stringify({ events: [landing('BIG', 1, { count: 0, vec: [0.5, 2] })] }).replace(
        '"count":0',
        '"count":9223372036854775807',
      )
      expect((await push(body)).body).toMatchObject({ accepted: 1 })
      const { text } = await ask(url, '/v1/features', { service: 'typed', entities: [{ airport: 'BIG' }] })
      expect(text).toContain('"count":9223372036854775807')
      expect(text).toContain('"vec":[0.5,2]')
    })

    it('writes online-only events to the online store, and history-only without folding', async () => {
      expect((await push({ events: [landing('ONL', 3)], to: 'online' })).body).toMatchObject({ accepted: 1, online: true })
      expect(await delays('ONL')).toMatchObject({ lastDelay: 3, landed1h: 1 })
      const history = await ask(url, '/v1/features', { service: 'history', entities: [{ airport: 'ONL' }] })
      expect(history.body.results[0]?.features).toMatchObject({ offlineDelay: null, lastDelay: 3 })
      const offline = await push({ events: [landing('OFF', 4)], to: 'offline' })
      expect(offline.body).not.toHaveProperty('online')
      expect(await stored(`airport = 'OFF'`)).toBe(1)
      await world.materialize('airport_delays')
      expect(await delays('OFF')).toMatchObject({ lastDelay: 4, landed1h: 1 })
      expect(await delays('ONL')).toMatchObject({ lastDelay: 3, landed1h: 1 })
    })

    it.each<[string, string, unknown, number, string, string]>([
      ['an unknown source', 'landing', { events: [{}] }, 404, 'UNKNOWN_DEFINITION', 'unknown_definition'],
      ['a wrong event', 'landings', { events: [landing('BAD', 1), landing('BAD', 2, { vec: [1] })] }, 400, 'INVALID_EVENT', 'wrong_type'],
      [
        'an event of the future',
        'landings',
        { events: [landing('BAD', 1, { at: '2001-07-01T12:11:00Z' })] },
        400,
        'INVALID_EVENT',
        'future',
      ],
      ['no events', 'landings', { events: [] }, 400, 'INVALID_REQUEST', 'invalid_request'],
      ['another target', 'landings', { events: [landing('BAD', 1)], to: 'nowhere' }, 400, 'INVALID_REQUEST', 'invalid_request'],
      [
        'a body over the limit',
        'landings',
        { events: [landing('BAD', 1, { city: 'x'.repeat(100_000) })] },
        413,
        'BODY_TOO_LARGE',
        'body_too_large',
      ],
    ])('refuses %s, writes nothing, and counts it', async (_what, source, body, status, code, reason) => {
      const label = `lockstep_push_rejected_total{reason="${reason}"} `
      const before = countOf(await metrics(), label)
      const answer = await push(body, source)
      expect([answer.status, answer.body.error.code]).toEqual([status, code])
      expect(countOf(await metrics(), label)).toBe(before + 1)
      expect(await stored(`airport = 'BAD'`)).toBe(0)
    })

    it('counts accepted events, and measures the folding time', async () => {
      const said = await metrics()
      expect(countOf(said, 'lockstep_push_events_total{source="landings"} ')).toBe(await stored('true'))
      expect(countOf(said, 'lockstep_push_duplicates_total{source="landings"} ')).toBe(3)
      expect(countOf(said, 'lockstep_push_waiting_events{source="landings"} ')).toBe(0)
      expect(countOf(said, 'lockstep_push_fold_seconds_count{source="landings"} ')).toBeGreaterThanOrEqual(4)
    })

    it('answers with pushed values after a push, even before they are online', async () => {
      const offline = await push({ events: [landing('RYW', 9)], to: 'offline' })
      const { token } = offline.body as unknown as { token: string }
      expect(await delays('RYW')).toMatchObject({ lastDelay: null, landed1h: 0 })
      expect(await delays('RYW', { after: token })).toMatchObject({ lastDelay: 9, landed1h: 1 })
      const told = await push({ events: [landing('RYW', 10, { at: '2001-07-01T11:40:00Z' })], to: 'online' })
      const both = [token, (told.body as unknown as { token: string }).token]
      expect(await delays('RYW', { after: both })).toMatchObject({ lastDelay: 10, landed1h: 2 })
    })

    it('does not wait for pushes without rows of the entity or the source', async () => {
      const pushed = await push({ events: [landing('TOK', 1)], to: 'offline' })
      const { token } = pushed.body as unknown as { token: string }
      const historyOf = async () => countOf(await metrics(), 'lockstep_history_answers_total{service="flight@1"} ')
      const before = await historyOf()
      expect(await delays('ATL', { after: token })).toMatchObject({ lastDelay: 25 })
      expect(await delays('TOK', { after: 'balances~0+1' })).toMatchObject({ lastDelay: null })
      expect(await historyOf()).toBe(before)
      expect(await delays('TOK', { after: token })).toMatchObject({ lastDelay: 1 })
      expect(await historyOf()).toBe(before + 1)
      const unknown = await ask(url, '/v1/features', {
        service: 'flight',
        entities: [{ airport: 'ATL', distance: 1 }],
        after: 'nosuch~0+5',
      })
      expect([unknown.status, unknown.body.error.message]).toEqual([400, expect.stringContaining('the source "nosuch", which is not')])
      const refused = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }], after: 'landings' })
      expect([refused.status, refused.body.error.message]).toEqual([400, expect.stringContaining('"landings" is not a token')])
    })

    it('finishes sent requests before it closes', async () => {
      const { server, url: other } = await world.serve({ closeMs: 60_000 })
      await server.whenReady()
      await ask(other, '/v1/sources/landings/events', { events: [landing('END', 0)] })
      const pushes = Array.from({ length: 30 }, (_, i) => ask(other, '/v1/sources/landings/events', { events: [landing('END', i)] }))
      const first = await Promise.race(pushes)
      expect(first.status).toBe(200)
      await server.close()
      const accepted = (await Promise.allSettled(pushes)).filter((push) => push.status === 'fulfilled' && push.value.status === 200)
      expect(await stored(`airport = 'END'`)).toBeGreaterThanOrEqual(1 + accepted.length)
      expect(await delays('END')).toMatchObject({ landed1h: await stored(`airport = 'END'`) })
    })
  })
}

describe('pushing events while a store is down', () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld('embedded')
    await world.materialize('airport_delays')
  })
  afterAll(() => world?.close())
  const event = { airport: 'ATL', at: noon, delay: 1, amount: null, count: null, city: null, open: null, vec: null }

  it('refuses them without the database, with the time after which to try again', async () => {
    let away = false
    const { db } = world
    const { server, url } = await world.serve({
      database: async () => ({
        ...db,
        close: async () => undefined,
        ping: async () => {
          if (away) throw new Error('away')
        },
      }),
    })
    await server.whenReady()
    away = true
    await expect.poll(async () => (await ask(url, '/v1/sources/landings/events', { events: [event] })).status).toBe(503)
    const answer = await ask(url, '/v1/sources/landings/events', { events: [event] })
    expect(answer.body.error.code).toBe('POSTGRES_UNAVAILABLE')
    expect(answer.headers.get('retry-after')).toBe('1')
    away = false
    await expect.poll(async () => (await ask(url, '/v1/sources/landings/events', { events: [event] })).status).toBe(200)
  })

  it('accepts them without the online store, and folds them when it is back', async () => {
    let away = false
    const store = world.openStore()
    const { server, url, registry } = await world.serve({
      store: async () => ({
        ...store,
        ping: async () => {
          if (away) throw new Error('away')
          return []
        },
      }),
    })
    await server.whenReady()
    const read = async () =>
      (await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'WAY', distance: 1 }] })).body.results?.[0]?.features
    away = true
    await expect.poll(() => server.readiness().ready).toBe(false)
    const pushed = { ...event, airport: 'WAY', at: noon - 1 }
    for (let i = 0; i < 5; i++) {
      const answer = await ask(url, '/v1/sources/landings/events', { events: [pushed] })
      expect([answer.status, (answer.body as unknown as { online: boolean }).online]).toEqual([200, false])
    }
    away = false
    await expect.poll(read, { timeout: 60_000 }).toMatchObject({ landed1h: 5 })
    expect(countOf(await registry.metrics(), 'lockstep_push_fold_failures_total{source="landings"} ')).toBe(1)
  })
})

/** The sample that begins so. */
function countOf(metrics: string, sample: string): number {
  const line = metrics.split('\n').find((each) => each.startsWith(sample))
  return line === undefined ? 0 : Number(line.slice(sample.length))
}
