import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClientError } from '../../client/index.ts'
import { createClient } from '../../client/index.ts'
import type { World } from '../serving/world.ts'
import { createWorld, noon } from '../serving/world.ts'
import type * as definitions from './definitions.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay, amount, count, city, open, vec) values
      ('ATL', '2001-07-01T11:30:00Z', 25, 0.1, 9007199254740993, '12345678901234567890', true, '{3,4}'),
      ('NAN', '2001-07-01T11:30:00Z', 'NaN', null, 5, 'a "b" 12345678901234567890', true, null);
    insert into lockstep_source.balances (account, at, balance, seen) values
      (9007199254740993, '2001-07-01T10:00:00Z', -9223372036854775808, '2001-06-30T23:59:59.123456Z')
  `)
  for (const view of ['airport_delays', 'airport_typed', 'account_balance']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('typed', 'named')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

const client = (options: Partial<Parameters<typeof createClient>[0]> = {}) => createClient<typeof definitions>({ url, ...options })

/** A fetch that answers these first (a status, or that it cannot reach the server), and then asks the server. */
function failing(...first: readonly (number | 'broken' | 'lost' | 'proxy')[]) {
  const sent: { timeoutMs: number }[] = []
  const failing: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers)
    const what = first[sent.length]
    sent.push({ timeoutMs: Number(headers.get('x-request-timeout-ms')) })
    if (what === 'broken') throw new TypeError('fetch failed')
    if (what === undefined) return await fetch(input, init)
    if (what === 'lost') {
      await (await fetch(input, init)).text()
      throw new TypeError('terminated')
    }
    if (what === 'proxy') return new Response('<html>', { status: 502 })
    const body = JSON.stringify({ error: { code: 'NOT_READY', message: 'not yet', details: {}, requestId: 'r1' } })
    return new Response(body, { status: what, headers: { 'retry-after': '0' } })
  }
  return { sent, fetch: failing }
}

const failure = async (work: Promise<unknown>): Promise<ClientError> =>
  await work.then(
    () => expect.fail('it did not fail'),
    (error: ClientError) => error,
  )

describe('a client', () => {
  it('reads every type back exactly', async () => {
    const { results, requestId, asOf, degraded } = await client().features('typed@1', [{ airport: 'ATL' }, { airport: 'NAN' }])
    expect(results.map(({ features }) => features)).toEqual([
      { amount: Math.fround(0.1), count: 9_007_199_254_740_993n, city: '12345678901234567890', open: true, vec: Float32Array.of(3, 4) },
      { amount: null, count: 5n, city: 'a "b" 12345678901234567890', open: true, vec: null },
    ])
    expect(results[0]?.statuses.count).toBe('PRESENT')
    expect(results[0]?.eventTimes.count).toBe(noon - 1_800_000_000)
    expect({ asOf, degraded }).toEqual({ asOf: noon, degraded: false })
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('refuses the features of another service than the one it was built with', async () => {
    const other = client({
      async fetch(...call) {
        const text = await (await fetch(...call)).text()
        return new Response(text.replace('"service":"typed@1"', '"service":"typed@2"'))
      },
    })
    const error = await failure(other.predict('typed', [{ airport: 'ATL' }], { features: 'typed@1' }))
    expect(error).toMatchObject({ code: 'VERSION_CHANGED', details: { service: 'typed@2', wanted: 'typed@1' } })
    expect((await other.predict('typed', [{ airport: 'ATL' }])).service).toBe('typed@2')
  })

  it('sends an int64 exactly, and reads timestamps by the microsecond', async () => {
    const { results } = await client().features('accounts@1', [{ id: 9_007_199_254_740_993n }])
    expect(results[0]?.features).toEqual({ balance: -(2n ** 63n), seen: Date.UTC(2001, 5, 30, 23, 59, 59, 123) * 1000 + 456 })
  })

  it('predicts, with features on request', async () => {
    const { predictions, predictionIds, features, version, requestId } = await client().predict('typed', [{ airport: 'ATL' }], {
      features: 'typed@1',
    })
    expect(version).toBe(1)
    expect(predictionIds).toEqual([`${requestId}/0`])
    expect(predictions[0]).toMatchObject({ count_out: 9_007_199_254_740_993n, vec_out: Float32Array.of(3, 4) })
    expect(features?.[0]?.count).toBe(9_007_199_254_740_993n)
    expect((await client().predict('delay', [{ airport: 'ATL', distance: 100 }], { version: 1 })).features).toBeNull()
  })

  it('reads by column what it reads by row', async () => {
    const entities = [{ airport: 'ATL' }, { airport: 'NAN' }, { airport: 'XXX' }]
    const { results } = await client().features('typed@1', entities)
    const { features, statuses, eventTimes } = await client().featureColumns('typed@1', entities, { eventTimes: true })
    expect(features.count).toEqual([9_007_199_254_740_993n, 5n, 0n])
    expect(Object.keys(features)).toEqual(Object.keys(results[0]?.features ?? {}))
    for (const [name, values] of Object.entries(features)) {
      expect(values, name).toEqual(results.map((row) => row.features[name as keyof typeof features]))
    }
    expect(statuses).toMatchObject({ count: { NOT_FOUND: [2] }, amount: { NULL_VALUE: [1], NOT_FOUND: [2] } })
    expect(eventTimes?.count).toEqual(results.map((row) => row.eventTimes.count))
    const invalid = await client().featureColumns('flight@1', [{ airport: 'NAN', distance: 1 }])
    expect([invalid.features.lastDelay, invalid.statuses.lastDelay, invalid.eventTimes]).toEqual([[Number.NaN], { INVALID: [0] }, null])
  })

  it('predicts by column what it predicts by row', async () => {
    const entities = [{ airport: 'ATL' }, { airport: 'ATL' }]
    const rows = await client().predict('typed', entities, { features: 'typed@1' })
    const columns = await client().predictColumns('typed', entities, { features: 'typed@1' })
    expect(columns.predictions.count_out).toEqual(rows.predictions.map(({ count_out }) => count_out))
    expect(columns.predictions.vec_out).toEqual(rows.predictions.map(({ vec_out }) => vec_out))
    expect(columns.features?.count).toEqual([9_007_199_254_740_993n, 9_007_199_254_740_993n])
    expect(columns.predictionIds).toEqual([`${columns.requestId}/0`, `${columns.requestId}/1`])
    expect((await client().predictColumns('typed', entities)).features).toBeNull()
  })

  it('reads at a past moment, and NaN where JSON has no such value', async () => {
    const before = await client().features('flight@1', [{ airport: 'NAN', distance: 1 }], { asOf: new Date('2001-07-01T11:00:00Z') })
    expect(before.asOf).toBe(noon - 3_600_000_000)
    expect(before.results[0]?.features.lastDelay).toBeNull()
    const now = await client().features('flight@1', [{ airport: 'NAN', distance: 1 }])
    expect(now.results[0]).toMatchObject({ features: { lastDelay: Number.NaN }, statuses: { lastDelay: 'INVALID' } })
  })

  it('pushes each event once, even if the reply was lost, and reads its own push', async () => {
    const { fetch, sent } = failing('lost')
    const at = noon - 1_000_000
    const event = { account: 7n, at, balance: 9_007_199_254_740_995n, seen: new Date('2001-07-01T00:00:00Z') }
    const { accepted, duplicates, token } = await client({ fetch }).push('balances', [event])
    expect({ accepted, duplicates, sent: sent.length }).toEqual({ accepted: 0, duplicates: 1, sent: 2 })
    const { results } = await client().features('accounts@1', [{ id: 7n }], { after: token })
    expect(results[0]?.features).toEqual({ balance: 9_007_199_254_740_995n, seen: Date.UTC(2001, 6, 1) * 1000 })
  })

  it('retries only temporary failures', async () => {
    const { fetch, sent } = failing(503, 'broken', 429, 'proxy')
    await client({ fetch, retries: 4 }).features('typed@1', [{ airport: 'ATL' }])
    expect(sent).toHaveLength(5)
    expect(sent.every(({ timeoutMs }) => timeoutMs > 0 && timeoutMs <= 10_000)).toBe(true)

    const twice = failing(503, 503)
    const error = await failure(client({ fetch: twice.fetch, retries: 1 }).features('typed@1', [{ airport: 'ATL' }]))
    expect(error).toMatchObject({ name: 'ClientError', code: 'NOT_READY', status: 503, requestId: 'r1', attempts: 2 })

    const refused = failing()
    const wrong = await failure(
      client({ fetch: refused.fetch }).predict('delay', [{ airport: 'ATL', distance: Number.NaN }], { version: 99 }),
    )
    expect(wrong).toMatchObject({ code: 'UNKNOWN_DEFINITION', status: 404, attempts: 1 })
  })

  it('reports an unavailable or wrong server, and stops on a timeout or abort', async () => {
    const away = createClient<typeof definitions>({ url: 'http://127.0.0.1:1', retries: 1 })
    expect(await failure(away.features('typed@1', [{ airport: 'ATL' }]))).toMatchObject({ code: 'NETWORK', status: null, attempts: 2 })
    for (const body of ['<html>', '{"ok":true}']) {
      const other = client({ fetch: async () => new Response(body, { status: 200 }) })
      expect(await failure(other.features('typed@1', [{ airport: 'ATL' }]))).toMatchObject({ code: 'BAD_ANSWER', status: 200 })
    }

    const silent: typeof fetch = (_, init) =>
      new Promise((_, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error)))
    const late = await failure(client({ fetch: silent }).features('typed@1', [{ airport: 'ATL' }], { timeoutMs: 30 }))
    expect(late).toMatchObject({ code: 'DEADLINE_EXCEEDED', status: null, attempts: 1 })
    const reason = new Error('no longer wanted')
    expect(await failure(client({ fetch: silent }).features('typed@1', [{ airport: 'ATL' }], { signal: AbortSignal.abort(reason) }))).toBe(
      reason,
    )
    for (const timeoutMs of [0, -1, Number.NaN, '5' as never])
      expect(await failure(client({ timeoutMs }).features('typed@1', [{ airport: 'ATL' }]))).toMatchObject({
        code: 'INVALID_REQUEST',
        attempts: 0,
      })
    const patient = failing()
    for (const timeoutMs of [9999.5, 4e6, 1e12, Number.POSITIVE_INFINITY])
      await client({ fetch: patient.fetch, timeoutMs }).features('typed@1', [{ airport: 'ATL' }])
    const [first, ...longer] = patient.sent.map((each) => each.timeoutMs)
    expect(Number.isInteger(first)).toBe(true)
    expect(longer).toEqual([3_600_000, 3_600_000, 3_600_000])
    for (const url of ['https://x/v1', 'https://x/v1/'])
      expect(() => client({ url })).toThrow('has the path "/v1", which the client adds. Leave it out: "https://x".')
    // a proxy may have any other path
    const asked: string[] = []
    const fetch: typeof globalThis.fetch = async (at) => {
      asked.push(at instanceof Request ? at.url : String(at))
      throw new TypeError('fetch failed')
    }
    await failure(client({ url: 'https://x/lockstep/v1/', fetch, retries: 0 }).features('typed@1', [{ airport: 'ATL' }]))
    expect(asked).toEqual(['https://x/lockstep/v1/v1/features'])
    expect(() => client({ url: 'ftp://x' })).toThrow('The url "ftp://x" is not a server URL')
    expect(() => client({ url: '127.0.0.1:8091' })).toThrow(
      expect.objectContaining({
        name: 'ClientError',
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('"http://127.0.0.1:8091"?'),
      }),
    )
    const overTls = createClient<typeof definitions>({ url: url.replace('http', 'https'), retries: 0 })
    const { message } = await failure(overTls.features('typed@1', [{ airport: 'ATL' }]))
    expect(message).toMatch(/cannot be reached: it does not answer with TLS \(\w+\); if it has no TLS, use http:\/\/ in its URL\.$/)
  })
})
