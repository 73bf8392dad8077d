import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bareEnvironment } from '../bare-environment.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { programFile } from '../cli/run-lockstep.ts'
import { testRedis } from '../services/index.ts'
import { gated, until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
})
afterAll(() => world?.close())

const question = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] }
const past = { ...question, asOf: '2001-07-01T00:00:00Z' }

describe('a PostgreSQL that accepts and never answers', () => {
  it('is noticed within seconds, releases waiting requests, and is used again later', async () => {
    const gate = await gated(world.postgresUrl)
    const { url, server } = await world.serve({ database: async () => openPostgres(gate.through(world.postgresUrl)) })
    await server.whenReady()
    gate.hush()
    const waiting = ask(url, '/v1/features', past)
    await until(async () => ((await ask(url, '/readyz')).body.warnings ?? []).some((warning) => warning.includes('in time')))
    const { status, body, text } = await waiting
    expect([status, body.error.code]).toEqual([503, 'POSTGRES_UNAVAILABLE'])
    expect(text).not.toContain(String(gate.port))
    expect((await ask(url, '/v1/features', question)).status).toBe(200)
    // a connection that is waited for takes 3 s
    await until(async () => {
      const started = performance.now()
      const refused = await ask(url, '/v1/features', past)
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
      return performance.now() - started < 500
    })
    await gate.shut()
    await gate.open()
    await until(async () => (await ask(url, '/v1/features', past)).status === 200)
    await server.close()
    await gate.shut()
  })

  it('does not keep the process of a server from ending with 0', async () => {
    const gate = await gated(world.postgresUrl)
    const redis = await testRedis()
    const child = spawn(process.execPath, [programFile('cli/main'), 'serve', '--port', '0', '--json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {
        ...bareEnvironment,
        LOCKSTEP_POSTGRES_URL: gate.through(world.postgresUrl),
        LOCKSTEP_REDIS_URL: redis.url,
        LOCKSTEP_REDIS_PREFIX: redis.prefix.replace(/:$/, ''),
      },
    })
    const [printed] = (await once(child.stdout, 'data')) as [Buffer]
    const { url } = JSON.parse(printed.toString()) as { url: string }
    await until(async () => (await ask(url, '/readyz')).body.reasons?.some((reason) => reason.includes('holds none')) ?? false)
    gate.hush()
    const started = performance.now()
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(performance.now() - started).toBeLessThan(40_000) // what deploy/ gives a server to end
    await gate.shut()
  })
})

describe('a read of the history that waits for a lock', () => {
  it('ends when its server closes', async () => {
    const { url, server } = await world.serve({ drainMs: 300 })
    await server.whenReady()
    const other = openPostgres(world.postgresUrl)
    await other.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep_source.landings in access exclusive mode`.execute(transaction)
      const answer = ask(url, '/v1/features', past).catch(() => 'cut')
      await until(async () => (await waitingForLocks()) === 1)
      await server.close()
      expect(await answer).toBe('cut')
      await expect.poll(waitingForLocks).toBe(0)
    })
    await other.close()
  })
})

describe('a registry that is locked', () => {
  it('is reported as down after the deadline, while requests are answered', async () => {
    const { url, server } = await world.serve()
    await server.whenReady()
    const other = openPostgres(world.postgresUrl)
    await other.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep.registry_state in access exclusive mode`.execute(transaction)
      await until(async () => ((await ask(url, '/readyz')).body.warnings ?? []).some((warning) => warning.includes('registry')))
      expect((await ask(url, '/v1/features', question)).status).toBe(200)
    })
    await until(async () => !((await ask(url, '/readyz')).body.warnings ?? []).some((warning) => warning.includes('registry')))
    await server.close()
    await other.close()
  })
})

describe('a PostgreSQL that accepts no writes', () => {
  it('is named by a server that stays ready', async () => {
    const options = encodeURIComponent('-c default_transaction_read_only=on')
    const { url, server } = await world.serve({ database: async () => openPostgres(`${world.postgresUrl}?options=${options}`) })
    await server.whenReady()
    const warnings = async () => {
      const { status, body } = await ask(url, '/readyz')
      expect(status).toBe(200)
      return body.warnings ?? []
    }
    await expect
      .poll(warnings)
      .toContainEqual(expect.stringMatching(/^PostgreSQL at ".+" accepts no writes\. Set LOCKSTEP_POSTGRES_URL to the primary/))
    await server.close()
  })
})

describe('a Redis that is known to be down', () => {
  it('is not waited for, and is named in the log, without password, not to clients', async () => {
    const redis = await testRedis()
    const gate = await gated(redis.url)
    await gate.shut()
    const redisUrl = gate.through(redis.url)
    const { url, server } = await world.serve({
      config: { bodyLimitBytes: 100_000, redisUrl: redisUrl.replace('redis://', 'redis://user:secret@') },
      store: async () => createRedisStore({ redis: openRedis(redisUrl), prefix: redis.prefix }),
    })
    const where = `127.0.0.1:${gate.port}`
    await until(async () => {
      const { reasons = [] } = (await ask(url, '/readyz')).body // the registry is loaded where Redis is the only one
      return reasons.length === 1 && reasons.every((reason) => reason.includes(`"${where}"`) && !reason.includes('not reached'))
    })
    const { status, text, body, headers } = await ask(url, '/v1/features', question)
    expect([status, body.error.code, headers.get('retry-after')]).toEqual([503, 'REDIS_UNAVAILABLE', '1'])
    // the first answer may be slow because the machine is
    await until(async () => {
      const startedMs = performance.now()
      expect((await ask(url, '/v1/features', question)).status).toBe(503)
      return performance.now() - startedMs < 300
    })
    expect(text).not.toContain(String(gate.port))
    const logged = world.logged.filter((line) => line.includes(body.error.requestId))
    expect(logged.some((line) => line.includes(where))).toBe(true)
    expect(world.logged.join('')).not.toContain('secret')
    await server.close()
  })
})

async function waitingForLocks(): Promise<number> {
  const [row] = await world.db.query<{ n: number }>(
    `select count(*)::int n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return row?.n ?? -1
}
