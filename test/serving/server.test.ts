import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedisStore } from '../../online/redis-store.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { statusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { gated, until } from './gate.ts'
import type { Answer, World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
  await world.push('echo', 'identity')
})
afterAll(() => world?.close())

const question = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] }

function warnsOf(answer: Answer, part: string): boolean {
  return answer.body.warnings?.some((warning) => warning.includes(part)) ?? false
}

describe('a server whose stores are down', () => {
  it('starts without PostgreSQL, reports it, and is ready once it answers', async () => {
    const gate = await gated(world.postgresUrl)
    await gate.shut()
    const { url, server } = await world.serve({ database: async () => openPostgres(gate.through(world.postgresUrl)) })
    await until(async () => (await ask(url, '/readyz')).body.reasons?.some((reason) => reason.includes(String(gate.port))) ?? false)
    expect((await ask(url, '/readyz')).status).toBe(503)
    expect((await ask(url, '/livez')).status).toBe(200)
    const refused = await ask(url, '/v1/features', question)
    expect([refused.status, refused.body.error.code]).toEqual([503, 'NOT_READY'])
    await gate.open()
    await until(async () => (await ask(url, '/readyz')).status === 200)
    expect((await ask(url, '/v1/features', question)).body.results[0]?.features.lastDelay).toBe(25)
    await server.close()
    await gate.shut()
  })

  it('continues online reads and predictions without PostgreSQL, and refuses history', async () => {
    const gate = await gated(world.postgresUrl)
    const { url, server } = await world.serve({ database: async () => openPostgres(gate.through(world.postgresUrl)) })
    await server.whenReady()
    await gate.shut()
    await until(async () => warnsOf(await ask(url, '/readyz'), 'PostgreSQL'))
    expect((await ask(url, '/readyz')).status).toBe(200)
    expect((await ask(url, '/v1/features', question)).status).toBe(200)
    expect((await ask(url, '/v1/predict', { model: 'echo', entities: question.entities })).status).toBe(200)
    const past = await ask(url, '/v1/features', { ...question, asOf: '2001-07-01T00:00:00Z' })
    expect([past.status, past.body.error.code]).toEqual([503, 'POSTGRES_UNAVAILABLE'])
    await gate.open()
    await until(async () => !warnsOf(await ask(url, '/readyz'), 'PostgreSQL'))
    expect((await ask(url, '/v1/features', { ...question, asOf: '2001-07-01T00:00:00Z' })).status).toBe(200)
    await server.close()
    await gate.shut()
  })

  it('warns if its clock differs from that of the database', async () => {
    await world.db.script(`create schema ahead; create function ahead.clock_timestamp() returns timestamptz language sql
      as $$ select pg_catalog.clock_timestamp() + interval '2 h' $$`)
    const skewed = new URL(world.postgresUrl)
    skewed.searchParams.set('options', '-c search_path=ahead,pg_catalog,public')
    const { url, server } = await world.serve({ database: async () => openPostgres(skewed.href) })
    await server.whenReady()
    await until(async () => warnsOf(await ask(url, '/readyz'), 'The clock of this server is 7200.0 s behind that of the database.'))
    expect(await ask(url, '/readyz')).toMatchObject({ status: 200, body: { degraded: expect.arrayContaining(['clock']) as string[] } })
    await server.close()
  })

  it('is not ready while Redis is down, refuses with 503, and recovers automatically', async () => {
    const redis = await testRedis()
    const gate = await gated(redis.url)
    await gate.shut()
    const { url, server } = await world.serve({
      store: async () => createRedisStore({ redis: openRedis(gate.through(redis.url)), prefix: redis.prefix }),
    })
    await until(async () => (await ask(url, '/v1/features', question)).body.error?.code === 'REDIS_UNAVAILABLE')
    await until(async () => (await ask(url, '/readyz')).body.reasons?.some((reason) => reason.includes('Redis')) ?? false)
    expect((await ask(url, '/readyz')).status).toBe(503)
    await gate.open()
    await until(async () => (await ask(url, '/readyz')).body.reasons?.some((reason) => reason.includes('holds none')) ?? false)
    const store = createRedisStore({ redis: openRedis(redis.url), prefix: redis.prefix })
    await world.materialize('airport_delays', noon, store)
    await store.close()
    await until(async () => (await ask(url, '/readyz')).status === 200)
    expect((await ask(url, '/v1/features', question)).status).toBe(200)
    await gate.shut()
    await until(async () => (await ask(url, '/readyz')).status === 503)
    await gate.open()
    await until(async () => (await ask(url, '/readyz')).status === 200)
    await server.close()
    await gate.shut()
  })

  it('reports pending migrations, and is ready once they have run', async () => {
    const bare = await testDatabase({ migrate: false })
    const db = openPostgres(bare.url)
    const { url, server } = await world.serve({ database: async () => openPostgres(bare.url) })
    await until(async () => (await ask(url, '/readyz')).body.reasons?.some((reason) => reason.includes('lockstep migrate')) ?? false)
    const { migrate } = await import('../../migrations/migrate.ts')
    await migrate(db.kysely)
    // it has no views, so it needs none
    await until(async () => (await ask(url, '/readyz')).status === 200)
    await server.close()
    await db.close()
    await bare.drop()
  })
})

describe('a server that starts and stops', () => {
  it('names a port that is in use, and the remedy', async () => {
    const { url, server } = await world.serve()
    const port = Number(new URL(url).port)
    const { createServer } = await import('../../serving/server.ts')
    const { Registry } = await import('prom-client')
    const { createLogger } = await import('../../runtime/log.ts')
    const second = createServer({
      config: { bodyLimitBytes: 1000 },
      database: async () => openPostgres(world.postgresUrl),
      store: async () => world.openStore(),
      log: createLogger('silent'),
      metrics: new Registry(),
      clock: () => noon,
    })
    await expect(second.listen('127.0.0.1', port)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining(String(port)),
    })
    await expect(second.listen('203.0.113.1', 0)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('203.0.113.1'),
    })
    await second.close()
    await server.close()
  })

  it('answers its status while the online store cannot be opened', async () => {
    const { url, server } = await world.serve({ store: () => Promise.reject(new Error('a broken cable')) })
    let answer = await ask(url, '/v1/status')
    // until the registry is loaded, the server cannot answer
    await until(async () => (answer = await ask(url, '/v1/status')).status === 200)
    const { store, views, problems } = statusAnswer.parse(answer.body)
    expect(store).toEqual({ kind: 'embedded', identity: null, problem: expect.stringContaining('a broken cable') as string })
    expect(views.length).toBeGreaterThan(0)
    expect(problems.map(({ id }) => id)).toContain('store')
    await server.close()
  })

  it('finishes requests in progress when it closes, and accepts no new ones', async () => {
    const redis = await testRedis()
    const gate = await gated(redis.url)
    const store = createRedisStore({ redis: openRedis(gate.through(redis.url)), prefix: redis.prefix })
    await world.materialize('airport_delays', noon, store)
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    let asked: () => void = () => undefined
    const reading = new Promise<void>((resolve) => (asked = resolve))
    const { url, server } = await world.serve({
      drainMs: 60_000,
      store: async () => ({
        ...store,
        async read(keys) {
          if (keys[0]?.entity !== 'airport') return store.read(keys)
          asked()
          await held
          return store.read(keys)
        },
      }),
    })
    await server.whenReady()
    const answer = ask(url, '/v1/features', question)
    await reading
    const closing = server.close()
    expect(server.readiness().ready).toBe(false)
    // what had connected before is still answered
    await until(() =>
      ask(url, '/livez').then(
        () => false,
        () => true,
      ),
    )
    release()
    expect((await answer).status).toBe(200)
    await closing
    await gate.shut()
  })

  it('cuts requests that take longer than the drain, and may be closed twice', async () => {
    const { promise: reading, resolve: begun } = Promise.withResolvers<void>()
    const { url, server } = await world.serve({
      drainMs: 200,
      store: async () => {
        const store = world.openStore()
        return {
          ...store,
          read(keys) {
            if (keys[0]?.entity !== 'airport') return store.read(keys)
            begun()
            return new Promise(() => undefined)
          },
        }
      },
    })
    await server.whenReady()
    const answer = ask(url, '/v1/features', question).catch(() => 'cut')
    await reading
    await Promise.all([server.close(), server.close()])
    expect(await answer).toBe('cut')
  })

  it('closes stores after the predictions that use them, even if clients disconnect', async () => {
    let read: () => void = () => undefined
    const { promise: reading, resolve: begun } = Promise.withResolvers<void>()
    const { url, server } = await world.serve({
      closeMs: 60_000,
      store: async () => {
        const store = world.openStore()
        const held = new Promise<void>((resolve) => (read = resolve))
        return {
          ...store,
          async read(keys) {
            if (keys[0]?.entity !== 'airport') return await store.read(keys)
            begun()
            await held
            return await store.read(keys)
          },
        }
      },
    })
    await server.whenReady()
    const client = new AbortController()
    const body = JSON.stringify({ model: 'echo', entities: question.entities })
    const answer = fetch(`${url}/v1/predict`, { method: 'POST', body, signal: client.signal }).catch(() => 'gone')
    await reading
    client.abort()
    expect(await answer).toBe('gone')
    world.logged.length = 0
    let closed = false
    const closing = server.close().then(() => (closed = true))
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(closed).toBe(false)
    read()
    await closing
    expect(world.logged.filter((line) => line.includes('"level":"error"') || line.includes('did not close'))).toEqual([])
  })
})
