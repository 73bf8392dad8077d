import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { KeyRequest } from '../../../registry/keys/api-keys.ts'
import { createKey, revokeKey } from '../../../registry/keys/api-keys.ts'
import { newKey } from '../../../registry/keys/key-text.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { routes } from '../../../serving/protocols/http/routes.ts'
import { gated, until } from '../gate.ts'
import type { Answer, World } from '../world.ts'
import { ask, createWorld } from '../world.ts'
import { heldStore } from './held-store.ts'

const question = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] }
const prediction = { model: 'echo', entities: question.entities }
const config = { bodyLimitBytes: 100_000 }

let world: World
/** Without any key. */
let open: World

beforeAll(async () => {
  ;[world, open] = await Promise.all([createWorld('redis'), createWorld('redis')])
  for (const each of [world, open]) {
    await each.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
    await each.materialize('airport_delays')
    await each.push('echo', 'identity')
  }
  await key(['admin'])
})
afterAll(() => Promise.all([world?.close(), open?.close()]))

async function key(scopes: readonly Scope[], more: Partial<KeyRequest> = {}): Promise<string> {
  const request = { name: '', scopes, requestsPerSecond: null, rowsPerSecond: null, expiresAt: null, ...more }
  return (await createKey(world.db, request)).text
}

async function serve(options: Parameters<World['serve']>[0] = {}, of = world) {
  const served = await of.serve(options)
  await served.server.whenReady()
  return served
}

const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
const told = ({ status, body }: Answer) => [status, body.error?.code]

describe('a server that has keys', () => {
  it('refuses a missing, forged, expired or revoked key, and says how to send one', async () => {
    const good = await key(['read', 'predict'])
    const expired = await key(['read'], { expiresAt: new Date(Date.now() - 1000) })
    const { url, server } = await serve()
    const none = await ask(url, '/v1/features', question)
    expect(told(none)).toEqual([401, 'UNAUTHENTICATED'])
    expect(none.headers.get('www-authenticate')).toBe('Bearer realm="lockstep"')
    expect(none.body.error.requestId).toBe(none.headers.get('x-request-id'))
    for (const wrong of [newKey().text, newKey(good.slice(12, 24)).text, expired, 'hello']) {
      const refused = await ask(url, '/v1/features', question, bearer(wrong))
      expect(told(refused)).toEqual([401, 'UNAUTHENTICATED'])
      expect(refused.headers.get('www-authenticate')).toContain('error="invalid_token"')
    }
    expect((await ask(url, '/v1/features', question, bearer(good))).status).toBe(200)
    expect((await ask(url, '/v1/predict', prediction, { 'x-api-key': good })).status).toBe(200)
    await revokeKey(world.db, good.slice(12, 24))
    await until(async () => (await ask(url, '/v1/features', question, bearer(good))).status === 401)
    await server.close()
  })

  it('takes a new key before it hears that the keys have changed, for as many requests as a key may have', async () => {
    const { url, server } = await serve({ config: { ...config, maxInFlightPerKey: 1 } })
    const { id, text, hash } = newKey()
    // without a notice of the change
    await world.db.query(`insert into lockstep.api_keys (id, hash, name, scopes) values ($1, $2, '', '{read}')`, [id, hash])
    await world.db.query('update lockstep.api_key_state set revision = revision + 1')
    for (let i = 0; i < 3; i++) expect((await ask(url, '/v1/features', question, bearer(text))).status).toBe(200)
    await server.close()
  })

  it('limits a key to its scopes, and names the missing one', async () => {
    const keys = { read: await key(['read']), predict: await key(['predict']), push: await key(['push']), admin: await key(['admin']) }
    const { url, server } = await serve()
    const asked: [Scope, string, unknown][] = [
      ['read', '/v1/features', question],
      ['read', '/v1/models', undefined],
      ['predict', '/v1/predict', prediction],
      ['push', '/v1/sources/landings/events', { events: [] }],
      ['admin', '/v1/backfills', { view: 'nothing' }],
    ]
    for (const [scope, path, body] of asked) {
      for (const [held, text] of Object.entries(keys)) {
        const answer = await ask(url, path, body, bearer(text))
        if (held === scope || held === 'admin') {
          expect([401, 403]).not.toContain(answer.status)
        } else {
          expect(told(answer)).toEqual([403, 'FORBIDDEN'])
          expect(answer.body.error.message).toContain(`"${scope}"`)
          expect(answer.headers.get('www-authenticate')).toContain(`scope="${scope}"`)
        }
      }
    }
    // the features that a model reads are no part of what it predicts
    for (const include of ['features', 'eventTimes']) {
      // a key works as soon as it is created
      const both = bearer(await key(['read', 'predict']))
      const refused = await ask(url, '/v1/predict', { ...prediction, include: [include] }, bearer(keys.predict))
      expect(told(refused)).toEqual([403, 'FORBIDDEN'])
      expect(refused.headers.get('www-authenticate')).toContain('scope="read"')
      expect((await ask(url, '/v1/predict', { ...prediction, include: [include] }, both)).status).toBe(200)
    }
    expect((await ask(url, '/v1/predict', { ...prediction, include: ['types'] }, bearer(keys.predict))).status).toBe(200)
    await server.close()
  })

  it('asks a key of the scope for every route, and lets no cache keep what it shows', async () => {
    const scraper = bearer(await key(['metrics']))
    const { url, server } = await serve()
    const guarded = routes.filter(({ scope }) => scope !== null)
    const answers = await Promise.all(
      guarded.map(async ({ method, path }) => {
        const at = url + path.replaceAll(/:\w+/g, 'x')
        const [none, other] = await Promise.all([fetch(at, { method }), fetch(at, { method, headers: scraper })])
        const { headers } = none
        return [`${method} ${path}`, none.status, other.status, headers.get('cache-control'), headers.get('x-content-type-options')]
      }),
    )
    const shown = (method: string) => (method === 'GET' ? ['no-store', 'nosniff'] : [null, null])
    expect(answers).toEqual(guarded.map(({ method, path }) => [`${method} ${path}`, 401, 403, ...shown(method)]))
    expect(routes.filter(({ scope }) => scope === null).map(({ path }) => path)).toEqual(
      '/v2/health/live /v2/health/ready /v2 /health /livez /readyz /metrics /openapi.json /docs'.split(' '),
    )
    // what changes something is for admins, or has a scope of its own
    const changing = routes.filter(({ method, scope }) => method !== 'GET' && scope !== 'admin')
    const byScope = Map.groupBy(changing, ({ scope }) => scope)
    expect([...byScope].map(([scope, all]) => [scope, ...all.map(({ path }) => path)].join(' '))).toEqual([
      'read /v1/features /v1/explain /v2/repository/index /get-online-features',
      'predict /v1/predict /v2/models/:model/infer /v2/models/:model/versions/:version/infer',
      'push /v1/sources/:name/events /v1/outcomes /push /write-to-online-store',
    ])
    await server.close()
  })

  it('answers health and metrics without a key, and reports an unknown path', async () => {
    const { url, server } = await serve()
    for (const path of ['/livez', '/readyz', '/metrics']) expect((await ask(url, path)).status).toBe(200)
    for (const path of ['/v1/nothing', '/../../etc/passwd', '/v1/features/..%2f..%2f', '//', '/%00']) {
      expect(told(await ask(url, path))).toEqual([404, 'NOT_FOUND'])
    }
    await server.close()
  })

  it('continues with its known keys while PostgreSQL is down', async () => {
    const text = await key(['read'])
    const gate = await gated(world.postgresUrl)
    const { url, server } = await serve({ database: async () => openPostgres(gate.through(world.postgresUrl)) })
    await gate.shut()
    await until(async () => (await ask(url, '/readyz')).text.includes('degraded'))
    expect((await ask(url, '/v1/features', question, bearer(text))).status).toBe(200)
    expect((await ask(url, '/v1/features', question)).status).toBe(401)
    await server.close()
    await gate.shut()
  })
})

describe('a key with limits', () => {
  it('gets its remaining limits, and refusals in the shape of the route', async () => {
    const [slow, narrow] = [await key(['read', 'predict'], { requestsPerSecond: 2 }), await key(['read'], { rowsPerSecond: 3 })]
    const { url, server } = await serve()
    const first = await ask(url, '/v1/features', question, bearer(slow))
    expect([first.status, first.headers.get('ratelimit-policy')]).toEqual([200, '"requests";q=2;w=1'])
    expect(first.headers.get('ratelimit')).toMatch(/^"requests";r=1;t=1$/)
    // its body is not looked at
    const third = await refusal(() => ask(url, '/v1/features', 'no JSON', bearer(slow)))
    expect(told(third)).toEqual([429, 'RATE_LIMITED'])
    expect([third.headers.get('retry-after'), third.headers.get('ratelimit-policy')]).toEqual(['1', '"requests";q=2;w=1'])
    expect(third.headers.get('ratelimit')).toBe('"requests";r=0;t=1')
    // of another scope
    expect((await ask(url, '/v1/predict', prediction, bearer(slow))).status).toBe(200)
    async function* slowly() {
      yield Buffer.from(' ')
      await new Promise((resolve) => setTimeout(resolve, 100))
      yield Buffer.from(JSON.stringify(prediction))
    }
    const late = await fetch(`${url}/v1/predict`, {
      method: 'POST',
      headers: { ...bearer(slow), 'x-request-timeout-ms': '30' },
      body: slowly(),
      duplex: 'half',
    })
    expect(late.status).toBe(504)
    const two = { ...question, entities: [question.entities[0], question.entities[0]] }
    expect((await ask(url, '/v1/features', two, bearer(narrow))).headers.get('ratelimit')).toContain('"rows";r=1')
    expect(told(await refusal(() => ask(url, '/v1/features', two, bearer(narrow))))).toEqual([429, 'RATE_LIMITED'])
    await server.close()
  })

  /** The first answer 429. A slow machine gets some of its limit back between two requests. */
  async function refusal(send: () => Promise<Answer>): Promise<Answer> {
    for (let i = 0; i < 500; i++) {
      const [answer = null] = (await Promise.all([send(), send(), send()])).filter(({ status }) => status === 429)
      if (answer !== null) return answer
    }
    throw new Error('none was refused')
  }
})

describe('a server without keys', () => {
  it('answers this machine, and logs a warning about it', async () => {
    const { url, server } = await serve({}, open)
    expect((await ask(url, '/v1/features', question)).status).toBe(200)
    expect(open.logged.some((line) => line.includes('"warn"') && line.includes('no API keys'))).toBe(true)
    await server.close()
  })

  it('answers to its address and to localhost, but to no name that resolves to it', async () => {
    const { url, server } = await serve({}, open)
    const { port } = new URL(url)
    const asked = async (host: string, path = '/v1/features') => {
      const sent = request({
        port,
        path,
        method: 'POST',
        headers: { host, 'content-type': 'application/json', origin: `http://${host.toLowerCase()}` },
      })
      sent.end(JSON.stringify(question))
      const [answer] = (await once(sent, 'response')) as [IncomingMessage]
      answer.resume()
      return answer.statusCode
    }
    for (const host of [`127.0.0.1:${port}`, 'localhost', `LOCALHOST:${port}`, `[::1]:${port}`, 'app.localhost'])
      expect(await asked(host)).toBe(200)
    for (const host of [`rebound.example:${port}`, 'localhost.example', '127.0.0.1.example', 'a', ''])
      expect(await asked(host), host).toBe(403)
    await server.close()
    // users who turn keys off, or have made one, are distinguished by other means
    const off = await serve({ config: { ...config, auth: 'off' } }, open)
    const sent = request(`${off.url}/v1/models`, { headers: { host: 'features.example' } }).end()
    expect(((await once(sent, 'response')) as [IncomingMessage])[0].statusCode).toBe(200)
    await off.server.close()
  })

  it('refuses to listen where other machines reach it, unless keys are off', async () => {
    await expect(open.serve({ config }).then(({ server }) => server.listen('0.0.0.0', 0))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('lockstep keys create') as string,
    })
    const { url, server } = await serve({ config: { ...config, auth: 'off' } }, open)
    expect((await ask(url, '/v1/features', question)).status).toBe(200)
    await server.close()
  })

  it('refuses all requests if keys are required', async () => {
    const { url, server } = await serve({ config: { ...config, auth: 'required' } }, open)
    expect(told(await ask(url, '/v1/features', question))).toEqual([401, 'UNAUTHENTICATED'])
    await server.close()
  })
})

describe('a server that ends', () => {
  it('does not wait for unused connections', async () => {
    const { url, server } = await serve({ drainMs: 120_000 }, open)
    const silent = connect(Number(new URL(url).port), '127.0.0.1')
    await once(silent, 'connect')
    const gone = once(silent, 'close')
    const start = performance.now()
    await server.close()
    expect(performance.now() - start).toBeLessThan(60_000)
    await gone
  })
})

describe('a server that ends while clients connect', () => {
  it('answers those that were connected already, and closes their connections', async () => {
    // the server waits 500 ms for the first byte of each: again, if this process was slower
    await until(async () => {
      const { url, server } = await serve({ drainMs: 60_000 }, open)
      const begunMs = performance.now()
      const fresh = await Promise.all(Array.from({ length: 30 }, () => dial(url)))
      const closed = server.close()
      await delay(60)
      const answers = await Promise.all(
        fresh.map(async (socket) => {
          let answer = ''
          socket.on('data', (chunk) => (answer += chunk))
          socket.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n')
          await new Promise((resolve) => (socket.closed ? resolve(null) : socket.once('close', resolve)))
          return answer
        }),
      )
      await closed
      if (answers.includes('') && performance.now() - begunMs > 450) return false
      for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close/i)
      return true
    })
  })
})

describe('a server with too much to do', () => {
  it('briefly queues excess requests, then refuses them, but always answers health', async () => {
    const held = heldStore(open)
    const { url, server, registry } = await serve(
      { store: held.store, config: { ...config, maxInFlight: 2, corsOrigins: ['https://app.example'] } },
      open,
    )
    const inside = [ask(url, '/v1/features', question), ask(url, '/v1/features', question)]
    await until(async () => held.reading() === 2)
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const refused = await ask(url, '/v1/predict', prediction, { 'x-request-id': 'mine', origin: 'https://app.example', traceparent })
    expect(refused.headers.get('traceparent')).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)/)
    expect(told(refused)).toEqual([503, 'OVERLOADED'])
    expect([refused.headers.get('retry-after'), refused.headers.get('x-request-id')]).toEqual(['1', 'mine'])
    expect(refused.headers.get('access-control-allow-origin')).toBe('https://app.example')
    for (const path of ['/livez', '/%6Civez', '/livez?']) expect((await ask(url, path)).status).toBe(200)
    const absolute = await dial(url)
    absolute.write('GET http://anywhere.example/livez HTTP/1.1\r\nhost: anywhere.example\r\n\r\n')
    expect(await firstOf(absolute)).toContain('200 OK')
    absolute.destroy()
    expect((await fetch(`${url}/livez`, { method: 'HEAD' })).status).toBe(200)
    expect((await fetch(`${url}/v1/predict`, { method: 'OPTIONS' })).status).toBe(204)
    held.letGo()
    expect((await Promise.all(inside)).map(({ status }) => status)).toEqual([200, 200])
    expect((await ask(url, '/v1/features', question)).status).toBe(200)
    expect(await registry.getSingleMetricAsString('lockstep_refused_requests_total')).toMatch(/code="OVERLOADED"\} 1$/m)
    // a request leaves when its response closes, which its client may see earlier
    await expect.poll(() => registry.getSingleMetricAsString('lockstep_in_flight_requests')).toMatch(/lockstep_in_flight_requests 0$/m)
    await server.close()
  })
})

describe('a client that does not behave', () => {
  it('sends too long a body: it is refused, with or without a declared length', async () => {
    const { url, server } = await serve({ config: { bodyLimitBytes: 1000 } }, open)
    expect(told(await ask(url, '/v1/features', 'x'.repeat(1001)))).toEqual([413, 'BODY_TOO_LARGE'])
    const socket = await dial(url)
    socket.write('POST /v1/features HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n')
    const answered = firstOf(socket)
    for (let i = 0; i < 5; i++) socket.write(`400\r\n${'x'.repeat(1024)}\r\n`)
    expect(await answered).toContain('413 Payload Too Large')
    socket.destroy()
    await server.close()
  })

  it('sends a head or body in drops: its connection ends, and nobody waits for it', async () => {
    const { url, server } = await serve({ headMs: 300, requestMs: 600 }, open)
    /** While the machine is busy, the head of a request may take longer than 300 ms. */
    const answersOthers = () =>
      ask(url, '/v1/features', question).then(
        ({ status }) => status === 200,
        () => false,
      )
    const [head, body] = [await dial(url), await dial(url)]
    head.write('POST /v1/features HTTP/1.1\r\nhost: localhost\r\nx-slow: ')
    body.write('POST /v1/features HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{')
    const drops = setInterval(() => [head, body].forEach((socket) => socket.writable && socket.write('a')), 50)
    await until(answersOthers)
    await Promise.all(
      [head, body].map((socket) => new Promise((resolve) => (socket.closed ? resolve(null) : socket.once('close', resolve)))),
    )
    clearInterval(drops)
    await until(answersOthers)
    await server.close()
  })

  it('sends an invalid request or too large a head: it gets a normal error', async () => {
    const [{ url, server }, hasty] = [await serve({}, open), await serve({ headMs: 300 }, open)]
    const answerTo = async (at: string, text: string): Promise<string> => {
      const socket = await dial(at)
      let answer = ''
      socket.on('data', (chunk) => (answer += chunk))
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.write(text)
      await closed
      return answer
    }
    const answers = await Promise.all([
      answerTo(url, '\x16\x03\x01 this is TLS'),
      answerTo(url, `GET /v1/models?q=${'a'.repeat(40_000)} HTTP/1.1\r\n`),
      answerTo(hasty.url, 'GET / HTTP/1.1\r\nhost: '),
    ])
    expect(answers.map((answer) => answer.slice(9, 12))).toEqual(['400', '431', '408'])
    for (const answer of answers) {
      const [head = '', body = ''] = answer.split('\r\n\r\n')
      const { error } = JSON.parse(body) as { error: { code: string; message: string; requestId: string } }
      expect(error.code).toBe('INVALID_REQUEST')
      expect(head).toContain(`\r\nx-request-id: ${error.requestId}\r\n`)
    }
    for (const at of [url, hasty.url]) await until(async () => (await ask(at, '/livez')).status === 200)
    await Promise.all([server.close(), hasty.server.close()])
  })
})

describe('a trace', () => {
  it('is in the answer and the log, and starts again if the header is invalid', async () => {
    const { url, server } = await serve({}, open)
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const answer = await ask(url, '/v1/features', question, { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'x-request-id': 'traced' })
    expect(answer.headers.get('traceparent')).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`))
    expect(answer.headers.get('traceparent')).not.toContain('00f067aa0ba902b7')
    const line = open.logged.find((each) => each.includes('a request was answered') && each.includes('"traced"'))
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      traceId,
      parentId: '00f067aa0ba902b7',
      route: '/v1/features',
      status: 200,
      method: 'POST',
    })
    for (const wrong of [
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      `00-${traceId}-${'0'.repeat(16)}-01`,
      `ff-${traceId}-00f067aa0ba902b7-01`,
      `00-${traceId}-00f067aa0ba902b7-01-more`,
      `00-${traceId.toUpperCase()}-00f067aa0ba902b7-01`,
      'nonsense',
    ]) {
      const fresh = (await ask(url, '/livez', undefined, { traceparent: wrong })).headers.get('traceparent')
      expect(fresh).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
      expect(fresh).not.toContain(traceId)
    }
    await server.close()
  })
})

async function dial(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

async function firstOf(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}
