import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
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
    ['an array', '[]', 'expected object'],
    ['no service', { entities: good.entities }, '"service"'],
    ['no entities', { service: 'flight' }, '"entities"'],
    ['an empty list of entities', { ...good, entities: [] }, '"entities"'],
    ['too many entities', { ...good, entities: new Array(10_001).fill(0) }, '"entities"'],
    ['an unknown field', { ...good, servce: 1 }, 'servce'],
    ['an unknown thing to include', { ...good, include: ['colour'] }, 'include.0'],
    ['a moment of another type', { ...good, asOf: true }, 'asOf'],
  ])('with %s is refused, and says what is wrong', async (_, body, part) => {
    const answer = await ask(url, '/v1/features', body)
    expectError(answer, 400, 'INVALID_REQUEST')
    expect(answer.body.error.message).toContain(part)
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

  it('for an unknown service is told the nearest name', async () => {
    const answer = await ask(url, '/v1/features', { ...good, service: 'fligth' })
    expectError(answer, 404, 'UNKNOWN_DEFINITION')
    expect(answer.body.error.message).toContain('"flight"')
  })

  it('over the body limit is refused, with a declared length and in chunks, and the server goes on', async () => {
    const long = JSON.stringify({ ...good, pad: 'x'.repeat(200_000) })
    expectError(await ask(url, '/v1/features', long), 413, 'BODY_TOO_LARGE')
    expect(await chunked('/v1/features', long)).toBe(413)
    expect(await chunked('/v1/features', JSON.stringify(good))).toBe(200)
    expect((await ask(url, '/v1/features', good)).status).toBe(200)
  })

  it('for a path that is not there or by another method gets the same shape', async () => {
    expectError(await ask(url, '/v1/nothing'), 404, 'NOT_FOUND')
    const get = await ask(url, '/v1/predict')
    expectError(get, 405, 'METHOD_NOT_ALLOWED')
    expect(get.headers.get('allow')).toBe('POST')
    expectError(await ask(url, '/v1/models', {}), 405, 'METHOD_NOT_ALLOWED')
  })

  it('with an unusable request id gets one of ours', async () => {
    const answer = await ask(url, '/v1/nothing', undefined, { 'x-request-id': 'x'.repeat(500) })
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('hides what an unexpected failure says, and logs it under the request id', async () => {
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
