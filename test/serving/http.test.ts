import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_delays')
  const served = await world.serve({ config: { bodyLimitBytes: 100_000, corsOrigins: ['https://app.example'] } })
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

interface Sent {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
}

interface Got {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** As it goes over the wire: nothing is added and nothing unpacked. */
function send(path: string, { method = 'POST', headers = {}, body }: Sent = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url + path, { method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

function codeOf(got: Got): string {
  return (JSON.parse(got.body.toString()) as { error: { code: string } }).error.code
}

const one = JSON.stringify({ service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] })
const many = JSON.stringify({ service: 'flight', entities: Array.from({ length: 200 }, () => ({ airport: 'ATL', distance: 1 })) })
const json = { 'content-type': 'application/json' }

describe('an answer before the body is there', () => {
  /** The answer to a client that first sends eight megabytes, over its own connection. */
  async function answerTo(head: string): Promise<string> {
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    let got = ''
    socket.on('data', (data) => (got += data.toString('latin1')))
    const ended = once(socket, 'end')
    const sent = new Promise<void>((resolve, reject) => {
      socket.on('error', reject)
      socket.write(`POST /v1/features ${head}\r\nhost: localhost\r\ncontent-length: 8000000\r\n\r\n`)
      socket.write(Buffer.alloc(8_000_000, 0x20), () => resolve())
    })
    await Promise.all([sent, ended])
    socket.destroy()
    return got
  }

  it('reaches a client that reads only after sending all, on a closing connection too', async () => {
    for (const head of ['HTTP/1.1\r\nconnection: close', 'HTTP/1.0']) {
      const got = await answerTo(head)
      expect(got).toMatch(/^HTTP\/1\.[01] 413 /)
      expect(got).toContain('BODY_TOO_LARGE')
    }
  })
})

describe('an answer', () => {
  it('is compressed as its client accepts it, if it is long', async () => {
    const plain = await send('/v1/features', { headers: json, body: many })
    expect(plain.headers).toMatchObject({ vary: 'accept-encoding' })
    expect(plain.headers['content-encoding']).toBeUndefined()
    const zipped = await send('/v1/features', { headers: { ...json, 'accept-encoding': 'gzip;q=1.0, br;q=0' }, body: many })
    const starred = await send('/v1/features', { headers: { ...json, 'accept-encoding': 'gzip;q=0, *' }, body: many })
    expect(starred.headers['content-encoding']).toBeUndefined()
    const brotli = await send('/v1/features', { headers: { ...json, 'accept-encoding': 'gzip, deflate, br' }, body: many })
    expect([zipped.headers['content-encoding'], brotli.headers['content-encoding']]).toEqual(['gzip', 'br'])
    expect(zipped.body.length).toBeLessThan(plain.body.length / 5)
    const results = (text: Buffer): unknown => (JSON.parse(text.toString()) as { results: unknown }).results
    expect(results(gunzipSync(zipped.body))).toEqual(results(plain.body))
    expect(results(brotliDecompressSync(brotli.body))).toEqual(results(plain.body))
  })

  it('is not compressed if it is short, or if no known encoding is accepted', async () => {
    const short = await send('/v1/features', { headers: { ...json, 'accept-encoding': 'gzip, br' }, body: one })
    const odd = await send('/v1/features', { headers: { ...json, 'accept-encoding': 'compress, identity' }, body: many })
    expect([short.status, odd.status]).toEqual([200, 200])
    expect([short.headers['content-encoding'], odd.headers['content-encoding']]).toEqual([undefined, undefined])
  })

  it('to HEAD has headers only, and to OPTIONS the allowed methods', async () => {
    const head = await send('/v1/models', { method: 'HEAD' })
    expect([head.status, head.body.length, head.headers['content-type']]).toEqual([200, 0, 'application/json'])
    const options = await send('/v1/backfills', { method: 'OPTIONS' })
    expect([options.status, options.body.length, options.headers.allow]).toEqual([204, 0, 'POST, OPTIONS'])
    expect(options.headers['content-type']).toBeUndefined()
    expect((await send('/nowhere', { method: 'OPTIONS' })).status).toBe(404)
  })
})

describe('a body', () => {
  it.each([
    ['gzip', gzipSync(one)],
    ['GZIP', gzipSync(one)],
    ['br', brotliCompressSync(one)],
    ['identity', Buffer.from(one)],
    ['Identity', Buffer.from(one)],
    ['', Buffer.from(one)],
  ])('in %s is unpacked', async (encoding, body) => {
    const got = await send('/v1/features', { headers: { ...json, 'content-encoding': encoding }, body })
    expect(got.status).toBe(200)
  })

  it('that unpacks to more than the limit is refused, at the cost of the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000, ' '))
    expect(bomb.length).toBeLessThan(100_000)
    const got = await send('/v1/features', { headers: { ...json, 'content-encoding': 'gzip' }, body: bomb })
    expect([got.status, codeOf(got)]).toEqual([413, 'BODY_TOO_LARGE'])
  })

  it('that differs from its header, or has an unknown encoding, is refused', async () => {
    const broken = await send('/v1/features', { headers: { ...json, 'content-encoding': 'gzip' }, body: one })
    expect([broken.status, codeOf(broken)]).toEqual([400, 'INVALID_REQUEST'])
    const cut = await send('/v1/features', { headers: { ...json, 'content-encoding': 'gzip' }, body: gzipSync(one).subarray(0, -12) })
    expect([cut.status, codeOf(cut)]).toEqual([400, 'INVALID_REQUEST'])
    const unknown = await send('/v1/features', { headers: { ...json, 'content-encoding': 'gzip, br' }, body: one })
    expect([unknown.status, codeOf(unknown)]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE'])
  })

  it("is JSON with curl's default content type, but refused with another type", async () => {
    const status = async (type?: string, more = {}): Promise<number> =>
      (await send('/v1/features', { headers: { ...(type === undefined ? {} : { 'content-type': type }), ...more }, body: one })).status
    expect(await status()).toBe(200)
    expect(await status('application/json; charset=utf-8')).toBe(200)
    expect(await status('application/vnd.lockstep+json')).toBe(200)
    expect(await status('application/x-www-form-urlencoded')).toBe(200)
    expect(await status('application/x-www-form-urlencoded', { origin: 'https://app.example' })).toBe(415)
    expect(await status('text/plain;charset=UTF-8')).toBe(200)
    expect(await status('text/plain', { origin: 'https://app.example' })).toBe(415)
    expect(await status('multipart/form-data; boundary=x')).toBe(415)
    expect(await status('application/xml')).toBe(415)
  })
})

describe('a page of another origin', () => {
  const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type, authorization' }

  it('that is listed may send and read', async () => {
    const asked = await send('/v1/predict', { method: 'OPTIONS', headers: { ...preflight, origin: 'https://app.example' } })
    expect(asked.status).toBe(204)
    expect(asked.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': expect.stringContaining('authorization'),
      vary: 'Origin, Access-Control-Request-Headers',
    })
    const answered = await send('/v1/features', {
      headers: { ...json, origin: 'https://app.example', 'accept-encoding': 'gzip' },
      body: many,
    })
    expect(answered.headers).toMatchObject({ 'access-control-allow-origin': 'https://app.example', vary: 'accept-encoding, Origin' })
    const refused = await send('/v1/features', { headers: { ...json, origin: 'https://app.example' }, body: '{}' })
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([400, 'https://app.example'])
  })

  it('that is not listed may not', async () => {
    const asked = await send('/v1/predict', { method: 'OPTIONS', headers: { ...preflight, origin: 'https://elsewhere.example' } })
    expect(asked.headers['access-control-allow-origin']).toBeUndefined()
    // what a browser sends without asking: a body that has no type
    for (const origin of ['https://elsewhere.example', 'null', `${url}.elsewhere.example`]) {
      const sent = await send('/v1/features', { headers: { origin }, body: one })
      expect([sent.status, codeOf(sent), sent.headers['www-authenticate']]).toEqual([403, 'FORBIDDEN', undefined])
    }
    const oip = await send('/v2/models/delay/infer', { headers: { origin: 'https://elsewhere.example' }, body: '{}' })
    expect([oip.status, JSON.parse(oip.body.toString())]).toEqual([
      403,
      { error: expect.stringContaining('https://elsewhere.example') as string },
    ])
    expect((await send('/livez', { method: 'GET', headers: { origin: 'https://elsewhere.example' } })).status).toBe(200)
  })

  it('is not refused if it is the server’s own page', async () => {
    expect((await send('/v1/features', { headers: { ...json, origin: url }, body: one })).status).toBe(200)
  })

  it('gets no access if no origin is allowed', async () => {
    const { server, url: closed } = await world.serve()
    await server.whenReady()
    const response = await fetch(`${closed}/livez`, { headers: { origin: 'https://app.example' } })
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
    await server.close()
  })
})
