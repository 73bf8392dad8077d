import { afterAll, beforeAll, expect, it } from 'vitest'
import { findingsOf } from '../../cli/doctor/check.ts'
import { checkRedis } from '../../cli/doctor/store-checks.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { detectFailover } from '../../materializer/runs/detect-failover.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { readOnline } from '../../online/read.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { createRedisRateLimits } from '../../runtime/redis/redis-rate-limits.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import type { TestSentinels } from '../services/redis-sentinel.ts'
import { ownSentinel, testSentinels } from '../services/redis-sentinel.ts'
import { freshView, many, moment } from './fixture.ts'
import { accountKey, storedStates } from './payments.ts'

let database: TestDatabase
let db: Database
let redis: TestSentinels
let store: OnlineStore
beforeAll(async () => {
  ;[database, redis] = await Promise.all([testDatabase(), testSentinels('redis-server')])
  db = openPostgres(database.url)
  store = await open(redis.url)
})
afterAll(async () => {
  await store?.close()
  await db?.close()
  await database?.drop()
  await redis?.stop()
})

function open(redisUrl: string): Promise<OnlineStore> {
  return openOnlineStore({ redisUrl, redisPrefix: 'sentinel', directory: '/nowhere' })
}

/** Whether it succeeded: it may fail only because there is no primary, or the new one has less than the old one had. */
async function succeeds(use: () => Promise<unknown>): Promise<boolean> {
  try {
    await use()
    return true
  } catch (error) {
    if (error instanceof LockstepError && ['REDIS_UNAVAILABLE', 'STORE_MISMATCH'].includes(error.code)) return false
    throw error
  }
}

/** Runs and reads a view while something strikes, and until both work again. Then compares its states. */
async function useDuring(strike: () => Promise<void>): Promise<void> {
  const { table, plan } = await freshView(db)
  await table.insert(many(500))
  await materializeView(db, store, plan, { moment })
  let over = false
  let [runs, reads] = [0, 0]
  const repeat = async (use: () => Promise<unknown>, count: () => void): Promise<void> => {
    while (!over) if (await succeeds(use)) count()
  }
  const run = async (): Promise<void> => {
    await table.insert(many(100))
    await detectFailover(db, store, { nowMs: Date.now() })
    await materializeView(db, store, plan, { moment })
  }
  const request = { plan, key: accountKey(plan, 'account 0') }
  const using = [
    repeat(run, () => runs++),
    repeat(
      () => readOnline(store, [request], moment),
      () => reads++,
    ),
  ]
  const passes = async (): Promise<void> => {
    const [run, read] = [runs, reads]
    await expect.poll(() => runs > run && reads > read, { timeout: 100_000 }).toBe(true)
  }
  try {
    await passes()
    await strike()
    await passes()
  } finally {
    over = true
    await Promise.all(using)
  }
  await run()
  expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
}

/** Waits until the Sentinels name another primary. */
async function replaced(former: OwnRedis): Promise<void> {
  await expect.poll(async () => (await redis.primary()).port, { timeout: 100_000 }).not.toBe(former.port)
}

async function runIdOf({ port }: OwnRedis): Promise<string> {
  return await asking(port, async (server) => /^run_id:(\w+)/m.exec(await server.info('server'))?.[1] ?? '')
}

it('goes on with the new primary after the old one was killed, and stays when it returns', async () => {
  const former = await redis.primary()
  await useDuring(async () => {
    process.kill(former.pid, 'SIGKILL')
    await replaced(former)
  })
  const present = await runIdOf(await redis.primary())
  expect(await store.primaries()).toEqual([expect.stringContaining(present)])
  await useDuring(async () => {
    redis.servers.push(await ownRedis('redis-server', { port: former.port, args: ['--repl-diskless-sync-delay', '0'] }))
    await redis.whole()
  })
  expect(await store.primaries()).toEqual([expect.stringContaining(present)])
})

it('follows a failover that was asked for, and one of a primary that fell silent', async () => {
  await redis.whole()
  const first = await redis.primary()
  await useDuring(async () => {
    const failover = () => asking(redis.sentinels[0]?.port ?? 0, (sentinel) => sentinel.call('SENTINEL', 'FAILOVER', 'mymaster'))
    // a Sentinel learns of a replica after seconds, and gives a failover up if it was stopped for 2 s meanwhile
    const ask = async (): Promise<boolean> => {
      if ((await redis.primary()).port !== first.port) return true
      await failover().catch(String)
      return false
    }
    await expect.poll(ask, { interval: 2_000, timeout: 100_000 }).toBe(true)
    await redis.whole()
  })
  const second = await redis.primary()
  await useDuring(async () => {
    process.kill(second.pid, 'SIGSTOP')
    await replaced(second)
  })
  await useDuring(async () => {
    process.kill(second.pid, 'SIGCONT')
    await redis.whole()
  })
  expect(await store.primaries()).toEqual([expect.stringContaining(await runIdOf(await redis.primary()))])
})

it('leaves a primary that still answers once the Sentinels name another one', async () => {
  await redis.whole()
  const present = await redis.primary()
  const other = await ownRedis('redis-server')
  const sentinel = await ownSentinel('redis-server', other.port)
  const following = await open(`redis+sentinel://127.0.0.1:${sentinel.port}/mymaster`)
  try {
    expect(await following.primaries()).toEqual([expect.stringContaining(await runIdOf(other))])
    await asking(sentinel.port, async (each) => {
      await each.call('SENTINEL', 'REMOVE', 'mymaster')
      await each.call('SENTINEL', 'MONITOR', 'mymaster', '127.0.0.1', present.port, 2)
    })
    const now = async () => (await following.primaries())[0]
    await expect.poll(now, { timeout: 60_000 }).toContain(await runIdOf(present))
  } finally {
    await following.close()
    await Promise.all([sentinel.stop(), other.stop()])
  }
})

it('does not follow a Sentinel that knows of an older primary than the others', async () => {
  const lone = await ownRedis('redis-server')
  const [behind, locked] = [await ownSentinel('redis-server', lone.port), await ownSentinel('redis-server', lone.port)]
  await asking(locked.port, (sentinel) => sentinel.call('ACL', 'SETUSER', 'default', 'resetpass', '>hush'))
  const using = await open(redis.url.replace('//', `//127.0.0.1:${behind.port},`))
  try {
    // it follows the others once they have answered, should these be slow
    const present = await runIdOf(await redis.primary())
    await expect.poll(async () => (await using.primaries())[0], { timeout: 60_000 }).toContain(present)
    expect(await using.memory?.()).toMatchObject([{ server: `127.0.0.1:${(await redis.primary()).port}`, isReplica: false }])

    const at = `redis+sentinel://127.0.0.1:${locked.port}/mymaster`
    await expect((await open(at)).ping()).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringMatching(/NOAUTH .* "sentinel_username" and "sentinel_password" in the URL/),
    })
    const signedIn = `${at}/3?sentinel_password=hush`
    expect(await findingsOf('online store', () => checkRedis(signedIn))).toContainEqual(
      expect.objectContaining({ verdict: 'ok', text: expect.stringContaining(` at 127.0.0.1:${lone.port} answers.`) as string }),
    )
    const limits = createRedisRateLimits(signedIn, 'p')
    // each with a key that stays for 1,000 s; an answer within 100 ms counts
    let tries = 0
    const take = () => limits.take({ owner: 'a', name: `b${tries++}` }, { perSecond: 0.001, wanted: 1, least: 1 }).catch(() => null)
    await expect.poll(take, { timeout: 60_000 }).toMatchObject({ granted: 1 })
    limits.close()
    expect(await asking(lone.port, (server) => server.info('keyspace'))).toMatch(/^db3:keys=/m)
  } finally {
    await using.close()
    await Promise.all([behind.stop(), locked.stop(), lone.stop()])
  }
})

it.each([
  [
    'of an unknown name',
    () => redis.url.replace('mymaster', 'other'),
    /no Sentinel names the primary "other" \(.*: it knows no primary "other"/,
  ],
  [
    'without a Sentinel that runs',
    () => 'redis+sentinel://127.0.0.1:1/mymaster',
    /ECONNREFUSED 127\.0\.0\.1:1\)\. Check LOCKSTEP_REDIS_URL/,
  ],
  [
    'that leads to a Redis',
    () => `redis+sentinel://127.0.0.1:${redis.servers.at(-1)?.port}/mymaster`,
    /unknown command .* \(it is no Sentinel\)/,
  ],
])('reports a URL %s within 4 s, without the password', async (_, url, text) => {
  const lost = await open(url().replace('//', '//user:hush@'))
  const began = performance.now()
  const failure = await lost.ping().catch((error: unknown) => String(error))
  expect(failure).toMatch(text)
  expect(failure).not.toContain('hush')
  expect(performance.now() - began).toBeLessThan(30_000)
  await lost.close()
})
