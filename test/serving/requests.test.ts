import type { IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from './gate.ts'
import type { Answer, World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  for (const view of ['airport_delays', 'airport_typed', 'airport_required', 'account_balance']) await world.materialize(view)
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

function expectError(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.body?.error?.code]).toEqual([status, code])
  expect(answer.body.error.requestId).toBe(answer.headers.get('x-request-id'))
  expect(answer.body.error.message).toMatch(/\S.*\.$/)
}

const good = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] }

describe('a bad request', () => {
  it.each([
    ['no JSON', '{"service":', 'not JSON'],
    ['an empty body', '', 'not JSON'],
    ['an array', '[]', 'must be an object'],
    ['no service', { entities: good.entities }, '"service"'],
    ['no entities', { service: 'flight' }, '"entities"'],
    ['an empty list of entities', { ...good, entities: [] }, '"entities"'],
    ['too many entities', { ...good, entities: new Array(10_001).fill(0) }, '"entities"'],
    ['an unknown field', { ...good, servce: 1 }, 'servce'],
    ['an unknown thing to include', { ...good, include: ['colour'] }, 'include.0'],
    ['a moment of another type', { ...good, asOf: true }, 'asOf'],
  ])('with %s is refused, with a message that says what is wrong', async (_, body, part) => {
    const answer = await ask(url, '/v1/features', body)
    expectError(answer, 400, 'INVALID_REQUEST')
    expect(answer.body.error.message).toContain(part)
  })

  const many = 'x'.repeat(50_000)
  const digits = '9'.repeat(50_000)
  it.each([
    ['thousands of things to include', '/v1/features', { ...good, include: new Array(20_000).fill('x') }],
    ['thousands of things to include in a prediction', '/v1/predict', { model: 'm', entities: [{}], include: new Array(20_000).fill('x') }],
    [
      'thousands of unknown fields',
      '/v1/features',
      Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`unknown${i}`.repeat(9), i])),
    ],
    ['an integer of 50,000 digits', '/v1/features', `{"service":"flight","entities":[{"airport":"ATL","distance":${digits}}]}`],
    ['an event with an integer of 50,000 digits', '/v1/sources/landings/events', `{"events":[{"airport":"ATL","count":${digits}}]}`],
    ['a tensor of 50,000 digits', '/v2/models/m/infer', `{"inputs":[{"name":"a","shape":[1],"datatype":"INT64","data":[${digits}]}]}`],
    ['arrays in arrays in arrays', '/v1/features', '['.repeat(50_000)],
    [
      'an object of thousands of members',
      '/v1/explain',
      {
        view: 'v',
        entity: Object.fromEntries(
          Object.keys(many.split(''))
            .map((i) => [i, 0])
            .slice(0, 9000),
        ),
      },
    ],
    ['a long service', '/v1/features', { ...good, service: many }],
    ['a long field', '/v1/features', { service: 'flight', entities: [{ [many]: 1 }] }],
    ['a long value', '/v1/features', { service: 'flight', entities: [{ airport: 'ATL', distance: many }] }],
    ['a long moment', '/v1/features', { ...good, asOf: many }],
    ['a long token', '/v1/features', { ...good, after: many }],
    ['a long column', '/get-online-features', { features: ['airport_delays:lastDelay'], entities: { [many]: ['ATL'] } }],
    ['a long feature', '/get-online-features', { features: [`airport_delays:${many}`], entities: { airport: ['ATL'] } }],
    ['a long event', '/v1/sources/landings/events', { events: [{ airport: 'ATL', at: many, [many]: 1 }] }],
    ['a long source', '/push', { push_source_name: many, df: { airport: ['ATL'] } }],
    ['a long tensor', '/v2/models/m/infer', { inputs: [{ name: many, shape: [1], datatype: many, data: [1] }] }],
    [
      'thousands of parameters',
      '/v2/models/m/infer',
      { inputs: [], parameters: Object.fromEntries(Array.from({ length: 900 }, (_, i) => [i, []])) },
    ],
  ])('with %s is refused in few words', async (_, path, body) => {
    const answer = await ask(url, path, body)
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
    expect(answer.text.length).toBeLessThan(5000)
  })

  it.each([['yesterday'], ['2001-02-30T00:00:00Z'], [1.5], [1e300]])('with the moment %s is refused, naming it', async (asOf) => {
    const answer = await ask(url, '/v1/features', { ...good, asOf })
    expect(answer.status).toBe(400)
    expect(answer.body.error.message).toContain('"asOf"')
  })

  it('names the entity and its field', async () => {
    const entities = [
      { airport: 'ATL', distance: 1 },
      { airport: 5, distance: 1 },
    ]
    const answer = await ask(url, '/v1/features', { ...good, entities })
    expectError(answer, 400, 'INVALID_ENTITY')
    expect(answer.body.error.details).toEqual({ entity: 1, field: 'airport' })
    const missing = await ask(url, '/v1/predict', { model: 'delay', entities: [{ airport: 'ATL' }] })
    expectError(missing, 404, 'UNKNOWN_DEFINITION')
    const request = await ask(url, '/v1/features', { ...good, entities: [{ airport: 'ATL' }] })
    expectError(request, 400, 'MISSING_REQUEST_VALUE')
    expect(request.body.error.details).toEqual({ entity: 0, field: 'distance' })
  })

  it('for an unknown service gets the nearest name', async () => {
    const answer = await ask(url, '/v1/features', { ...good, service: 'fligth' })
    expectError(answer, 404, 'UNKNOWN_DEFINITION')
    expect(answer.body.error.message).toContain('"flight"')
  })

  it('above the body limit is refused, sized or chunked, and the server continues', async () => {
    const long = JSON.stringify({ ...good, pad: 'x'.repeat(200_000) })
    expectError(await ask(url, '/v1/features', long), 413, 'BODY_TOO_LARGE')
    expect(await chunked('/v1/features', long)).toBe(413)
    expect(await chunked('/v1/features', JSON.stringify(good))).toBe(200)
    expect((await ask(url, '/v1/features', good)).status).toBe(200)
  })

  it('whose client disconnects inside its body is no failure of the server', async () => {
    for (const headers of [{ 'content-length': '1000' }, { 'transfer-encoding': 'chunked' }]) {
      const before = world.logged.length
      const counted = await aborts()
      const id = `disconnects-${Object.keys(headers).join()}`
      const request = httpRequest(`${url}/v1/features`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': id, ...headers },
      })
      request.on('error', () => undefined)
      await new Promise((resolve) => request.write('{"service":', resolve))
      request.destroy()
      await until(async () => (await aborts()) === counted + 1)
      const lines = world.logged.slice(before).map((line) => JSON.parse(line) as { readonly level: string; readonly requestId?: string })
      expect(new Set(lines.filter(({ requestId }) => requestId === id).map(({ level }) => level))).toEqual(new Set(['debug']))
    }
  })

  it('that an on-demand view cannot process gets the name of the entity', async () => {
    const entities = [
      { airport: 'ATL', note: 'hm' },
      { airport: 'ATL', note: '' },
    ]
    const answer = await ask(url, '/v1/features', { service: 'noted', entities })
    expectError(answer, 422, 'TRANSFORM_FAILED')
    expect(answer.body.error).toMatchObject({
      details: { entity: 1 },
      message: expect.stringMatching(/^Entity 1: .*"notes@1".*there is no note/),
    })
  })

  it('whose on-demand view never ends is aborted, and others are answered', async () => {
    const features = (note: string) => ask(url, '/v1/features', { service: 'noted', entities: [{ airport: 'ATL', note }] })
    for (const note of ['for ever', `${'a'.repeat(60)}b`]) {
      const [answer, ...others] = await Promise.all([features(note), features('hm'), features('oh')])
      expectError(answer, 504, 'TRANSFORM_TIMEOUT')
      expect(answer.body.error).toMatchObject({
        details: { entity: 0, view: 'notes@1' },
        message: expect.stringMatching(/^Entity 0: The transform of "notes@1" did not end for the moment .*Z within \d+ ms/),
      })
      expect(others.map(({ status }) => status)).toEqual([200, 200])
    }
    const readiness = (await (await fetch(`${url}/readyz`)).json()) as { warnings: string[] }
    expect(readiness.warnings).toContainEqual(expect.stringMatching(/^The transform of "notes@1" did not end in time/))
    await until(async () => (await ask(url, '/metrics')).text.includes('lockstep_transform_timeouts_total{view="notes@1"} 2'))
    const told = world.logged.filter((line) => line.includes('"a transform did not end in time and was stopped"'))
    expect(told.map((line) => (JSON.parse(line) as { view: string }).view)).toEqual(['notes@1'])
  })

  it('with a text that is not Unicode, or becomes one that is not, is refused', async () => {
    const sent = await ask(url, '/v1/features', '{"service":"noted","entities":[{"airport":"ATL","note":"\\ud83d"}]}')
    expectError(sent, 400, 'INVALID_ENTITY')
    const made = await ask(url, '/v1/features', { service: 'noted', entities: [{ airport: 'ATL', note: '🛬' }] })
    expectError(made, 400, 'INVALID_ENTITY')
    expect(made.body.error.details).toEqual({ entity: 0, feature: 'initial' })
  })

  it('that is not UTF-8 is refused, and not taken for another', async () => {
    const body = Buffer.concat([
      Buffer.from('{"service":"flight","entities":[{"airport":"A'),
      Buffer.from([0xff]),
      Buffer.from('","distance":1}]}'),
    ])
    const answer = await fetch(`${url}/v1/features`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    expect(answer.status).toBe(400)
    expect(await answer.text()).toContain('not UTF-8')
  })

  it('with a number that overflows is refused', async () => {
    const answer = await ask(url, '/v1/features', '{"service":"flight","entities":[{"airport":"ATL","distance":1e999}]}')
    expectError(answer, 400, 'INVALID_ENTITY')
  })

  it('that arrives slowly is answered when it is complete', async () => {
    let now = noon
    const served = await world.serve({ clock: () => now })
    await served.server.whenReady()
    const body = JSON.stringify(good)
    const answer = new Promise<string>((resolve, reject) => {
      const request = httpRequest(
        `${served.url}/v1/features`,
        { method: 'POST', headers: { 'content-type': 'application/json' } },
        (response) => response.on('data', (chunk: Buffer) => resolve(chunk.toString())),
      )
      request.on('error', reject)
      request.write(body.slice(0, 10))
      setTimeout(() => {
        now = noon + 60_000_000
        request.end(body.slice(10))
      }, 200)
    })
    expect(JSON.parse(await answer)).toMatchObject({ asOf: '2001-07-01T12:01:00Z' })
    await served.server.close()
  })

  it('for a path that is not there or by another method gets the same shape', async () => {
    expectError(await ask(url, '/v1/nothing'), 404, 'NOT_FOUND')
    const get = await ask(url, '/v1/predict')
    expectError(get, 405, 'METHOD_NOT_ALLOWED')
    expect(get.headers.get('allow')).toBe('POST, OPTIONS')
    expectError(await ask(url, '/v1/models', {}), 405, 'METHOD_NOT_ALLOWED')
  })

  it('by TRACE, which echoes headers elsewhere, is refused like other unknown methods', async () => {
    for (const [path, status, allow] of [
      ['/v1/predict', 405, 'POST, OPTIONS'],
      ['/v1/models', 405, 'GET, HEAD, OPTIONS'],
      ['/v1/nothing', 404, undefined],
    ] as const) {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest(url + path, { method: 'TRACE' }, resolve)
          .once('error', reject)
          .end()
      })
      response.resume()
      expect([response.statusCode, response.headers.allow]).toEqual([status, allow])
    }
  })

  it('may be preceded by reading what there is, as a document and as a page', async () => {
    const document = await ask(url, '/openapi.json')
    expect(document.body).toMatchObject({ openapi: '3.1.0', paths: { '/v1/features': {}, '/docs': {} } })
    const page = await ask(url, '/docs')
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page.text).toContain('<title>Lockstep HTTP interface</title>')
  })

  it('with an unusable request id gets one of ours', async () => {
    const answer = await ask(url, '/v1/nothing', undefined, { 'x-request-id': 'x'.repeat(500) })
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('hides the text of an unexpected failure, and logs it under the request id', async () => {
    const broken = await world.serve({
      clock: () => {
        throw new Error('secret detail')
      },
    })
    await broken.server.whenReady()
    const answer = await ask(broken.url, '/v1/features', good)
    expectError(answer, 500, 'INTERNAL')
    expect(answer.text).not.toContain('secret')
    expect(world.logged.some((line) => line.includes('secret detail') && line.includes(answer.body.error.requestId))).toBe(true)
    await broken.server.close()
  })
})

async function aborts(): Promise<number> {
  const { text } = await ask(url, '/metrics')
  return Number(/lockstep_http_request_seconds_count\{route="\/v1\/features",status="499"\} (\d+)/.exec(text)?.[1] ?? 0)
}

/** Posts without content-length, in pieces. */
function chunked(path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url + path, { method: 'POST', headers: { 'content-type': 'application/json' } }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    // The server may answer and close before the whole body is sent.
    request.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EPIPE' || error.code === 'ECONNRESET' ? undefined : reject(error),
    )
    for (let at = 0; at < body.length; at += 10_000) request.write(body.slice(at, at + 10_000))
    request.end()
  })
}
