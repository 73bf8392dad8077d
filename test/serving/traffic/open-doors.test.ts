import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { Gauge } from 'prom-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serveMetrics } from '../../../serving/lifecycle/metrics-server.ts'
import { createKey } from '../../../registry/keys/api-keys.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import { unlessSlow } from '../../unless-slow.ts'
import { until } from '../gate.ts'
import { sendHeaders } from '../send-headers.ts'
import type { World } from '../world.ts'
import { ask, createWorld } from '../world.ts'

const question = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] }
/** Its answer has what was sent, which is longer than what a connection takes whose client does not read. */
const long = { features: ['airport_delays:lastDelay'], entities: { airport: ['ATL'], id: ['x'.repeat(12_000_000)] } }
const config = { bodyLimitBytes: 16_000_000 }

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
  await world.push('echo', 'identity')
  await key(['admin'])
})
afterAll(() => world?.close())

async function key(scopes: readonly Scope[]): Promise<Record<string, string>> {
  const request = { name: '', scopes, requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
  return { authorization: `Bearer ${(await createKey(world.db, request)).text}` }
}

async function serve(options: Parameters<World['serve']>[0] = {}) {
  const served = await world.serve({ config, ...options })
  await served.server.whenReady()
  return served
}

async function dial(url: string, text: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

function post(path: string, body: unknown, headers: Readonly<Record<string, string>>): string {
  const text = JSON.stringify(body)
  const all = { host: 'localhost', 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)), ...headers }
  return `POST ${path} HTTP/1.1\r\n${Object.entries(all)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n${text}`
}

it('collects metrics once a second, for any number of callers without a key', async () => {
  const { url, server, registry } = await serve()
  let made = 0
  registry.registerMetric(new Gauge({ name: 'made', help: 'made', registers: [], collect: () => void made++ }))
  const start = performance.now()
  const unread = await dial(url, 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(5000))
  unread.pause()
  await until(async () => made > 0)
  expect((await ask(url, '/livez')).status).toBe(200)
  const paths = ['/metrics', '/openapi.json', '/docs']
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => ask(url, paths[i % 3] ?? '', undefined, { 'accept-encoding': 'br' })),
  )
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect((await ask(url, '/livez')).status).toBe(200)
  expect(made).toBeLessThanOrEqual(1 + (performance.now() - start) / 1000)
  unread.destroy()
  await server.close()
})

it('answers metrics to a key of their scope or on another port, as configured', async () => {
  const [reader, scraper] = [await key(['read']), await key(['metrics'])]
  const closed = await serve({ config: { ...config, metricsAuth: 'required' } })
  const statuses = await Promise.all(
    [{}, reader, scraper].map(async (headers) => (await ask(closed.url, '/metrics', undefined, headers)).status),
  )
  expect(statuses).toEqual([401, 403, 200])
  expect((await ask(closed.url, '/v1/models', undefined, scraper)).status).toBe(403)
  await closed.server.close()
  const elsewhere = await serve({ config: { ...config, metricsPort: 9091 } })
  const answer = await ask(elsewhere.url, '/metrics', undefined, scraper)
  expect([answer.status, answer.body.error.message]).toEqual([404, expect.stringContaining('LOCKSTEP_METRICS_PORT')])
  await elsewhere.server.close()
})

it('answers metrics on their own port, collected once a second, and its health', async () => {
  let made = 0
  let ready = false
  const metrics = async () => `made ${++made}\n`
  const source = { metrics, contentType: 'text/plain', readiness: async () => ({ ready, away: [], warnings: ['"flights" is late'] }) }
  const server = await serveMetrics(source, { metricsHost: '127.0.0.1' }, 0)
  const url = `http://127.0.0.1:${server.port}`
  expect((await ask(url, '/readyz')).status).toBe(503)
  ready = true
  // what names hosts and views is for this machine alone
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ ready: true, away: [], warnings: ['"flights" is late'] })
  for (const headers of [
    { 'x-forwarded-for': '10.0.0.1' },
    { 'x-real-ip': '10.0.0.1' },
    { via: '1.1 proxy' },
    { host: 'features.example' },
  ])
    expect(JSON.parse((await sendHeaders(`${url}/readyz`, headers)).text)).toEqual({ ready: true, away: [] })
  expect((await ask(url, '/nothing')).status).toBe(404)
  const text = `${'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(20)}GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`
  const start = performance.now()
  const answers = await answersTo(url, text)
  expect(answers.match(/made 1\n|\{"live":true\}/g)).toHaveLength(21)
  expect(made).toBeLessThanOrEqual(1 + (performance.now() - start) / 1000)
  await server.close()
})

it("keeps slots for other keys if one key's clients do not read", async () => {
  const [greedy, other] = [await key(['read']), await key(['read'])]
  const { url, server, registry } = await serve({ config: { ...config, maxInFlight: 4, requestTimeoutMs: 15_000 } })
  const inFlight = async () => Number((await registry.getSingleMetricAsString('lockstep_in_flight_requests')).match(/(\d+)$/m)?.[1])
  // none waits for longer than the server allows, whatever it says
  const request = post('/get-online-features', long, { ...greedy, 'x-request-timeout-ms': '3600000' })
  const unread = await Promise.all([1, 2, 3].map(() => dial(url, request)))
  const cut = unread.map((socket) => new Promise((resolve) => socket.pause().once('close', resolve)))
  await until(async () => (await inFlight()) === 3)
  const refused = await ask(url, '/v1/features', question, greedy)
  expect([refused.status, refused.body.error.code, refused.headers.get('retry-after')]).toEqual([429, 'OVERLOADED', '1'])
  expect((await ask(url, '/v1/features', question, other)).status).toBe(200)
  await until(async () => (await inFlight()) === 0)
  expect((await ask(url, '/v1/features', question, greedy)).status).toBe(200)
  for (const socket of unread) socket.resume()
  await Promise.all(cut)
  await server.close()
})

/** The bytes that come over a connection until the server ends it. */
async function answersTo(url: string, text: string): Promise<string> {
  const socket = await dial(url, text)
  let answer = ''
  socket.on('data', (chunk) => (answer += chunk))
  await new Promise((resolve) => socket.once('close', resolve))
  return answer
}

it('answers a push before invalid bytes in the same segment', async () => {
  const rest = { amount: null, count: null, city: null, open: null, vec: null }
  const pusher = await key(['push'])
  const { url, server } = await serve()
  const push = post('/v1/sources/landings/events', { events: [{ airport: 'ORD', at: '2001-07-01T11:00:00Z', delay: 1, ...rest }] }, pusher)
  const answer = await answersTo(url, `${push}${push}\x16\x03\x01 nonsense\r\n\r\nGET /livez HTTP/1.1\r\n`)
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 400'])
  const broken = `POST /v1/features HTTP/1.1\r\nhost: x\r\nauthorization: ${pusher['authorization']}\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n`
  expect(await answersTo(url, `${push}${broken}`)).toMatch(/^HTTP\/1\.1 200[^]*HTTP\/1\.1 400[^]*INVALID_REQUEST/)
  await server.close()
})

it.each([
  ['two hosts', 400, 'POST /v1/features HTTP/1.1\r\nHost: x\r\nhost: y\r\n'],
  ['another version of HTTP', 505, 'POST /v1/features HTTP/2.0\r\nhost: x\r\n'],
  ['a transfer encoding that is not taken', 501, 'POST /v1/features HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n'],
])('refuses a request with %s with %i, and ends its connection', async (_, status, head) => {
  const { url, server } = await serve()
  const answer = await answersTo(url, `${head}content-type: application/json\r\n\r\n`)
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`])
  expect(answer).toMatch(/connection: close\r\n[^]*"error":\{"code":"/i)
  await server.close()
})

it('gives the place of a half-sent request on as soon as that is refused', async () => {
  const { url, server, registry } = await serve({ config: { ...config, maxInFlight: 4 } })
  const half = 'POST /v1/features HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{'
  // the server ends a connection a second after its answer
  await unlessSlow(900, async () => {
    const sockets = await Promise.all(Array.from({ length: 4 }, () => dial(url, half)))
    let ended = 0
    await Promise.all(
      sockets.map(async (socket) => {
        socket.once('end', () => ended++)
        expect(String((await once(socket, 'data'))[0])).toContain('401 Unauthorized')
      }),
    )
    expect(await registry.getSingleMetricAsString('lockstep_in_flight_requests')).toMatch(/ 0$/m)
    expect(ended).toBe(0)
    for (const socket of sockets) socket.destroy()
  })
  await server.close()
})

it('names the registry in documents to readers only, and answers while it closes', async () => {
  const [push, read] = [await key(['push']), await key(['read'])]
  const { url, server } = await serve({ config: { ...config, shutdownDelayMs: 6000 } })
  const documents = await Promise.all([{}, push, read].map((headers) => ask(url, '/openapi.json', undefined, headers)))
  expect(documents.map(({ text }) => text.includes('"echo"'))).toEqual([false, false, true])

  const closing = server.close()
  await until(async () => (await ask(url, '/readyz')).status === 503)
  const answer = await ask(url, '/v1/features', question, read)
  expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close'])
  await closing
  await expect(ask(url, '/livez')).rejects.toThrow('fetch failed')
})
