import { createServer } from 'node:net'
import type { Redis } from 'ioredis'
import { afterEach, expect, it } from 'vitest'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { Gate, gated, until } from '../serving/gate.ts'
import { testRedis } from '../services/index.ts'
import { freePort } from '../services/keeper.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis } from '../services/own-redis.ts'

const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function storeAt(url: string, signal?: AbortSignal): OnlineStore {
  const store = createRedisStore({ redis: openRedis(url, { signal }), prefix: 'away' })
  closing.push(() => store.close())
  return store
}

async function silent(): Promise<Gate> {
  const { url } = await testRedis()
  const gate = await gated(url)
  gate.hush()
  closing.push(() => gate.shut())
  return gate
}

/** There is none at first, whatever the type says. */
function streamOf(redis: Redis): Redis['stream'] | undefined {
  return redis.stream
}

/** The message of what a ping fails with, and how long that takes together with closing. */
async function failure(store: OnlineStore): Promise<{ message: string; ms: number }> {
  const started = performance.now()
  const message = await store.ping().then(
    () => 'none',
    (error: unknown) => String(error),
  )
  await store.close()
  return { message, ms: performance.now() - started }
}

it('names the server without its password, and why it is unavailable', async () => {
  const refused = await failure(storeAt('redis://user:hush@127.0.0.1:1'))
  expect(refused.message).toMatch(/Redis at "127\.0\.0\.1:1" cannot be used: connect ECONNREFUSED.*\. Check LOCKSTEP_REDIS_URL/)
  const unknown = await failure(storeAt('redis://user:hush@nowhere.invalid:6379'))
  expect(unknown.message).toMatch(/"nowhere\.invalid:6379" cannot be used: getaddrinfo (ENOTFOUND|EAI_AGAIN)/)
  expect(refused.message + unknown.message).not.toContain('hush')
  expect(Math.max(refused.ms, unknown.ms)).toBeLessThan(30_000)
})

it('refuses a database that Redis does not have, and does not use another one', async () => {
  const url = new URL((await testRedis()).url)
  url.pathname = '/9999'
  const store = storeAt(url.href)
  const key = { view: 'absent@1', entity: 'seat', key: 'a' } as const
  const outcomes = await Promise.allSettled([store.ping(), store.identity(), store.read([key])])
  for (const outcome of outcomes)
    expect(String(outcome.status === 'rejected' ? outcome.reason : 'done')).toMatch(
      /DB index is out of range\. Correct the number of the database/,
    )
})

it('gives up after 3 s if it accepts and never answers, and closes at once', async () => {
  const { port } = await silent()
  const { message, ms } = await failure(storeAt(`redis://user:hush@127.0.0.1:${port}`))
  expect(message).toContain(`Redis at "127.0.0.1:${port}" cannot be used: it did not answer within 3 s.`)
  expect(ms).toBeLessThan(30_000)
})

it('gives up after 3 s if it stops responding, and closes soon', async () => {
  const { url } = await testRedis()
  const gate = await gated(url)
  closing.push(() => gate.shut())
  const store = storeAt(gate.through(url))
  await store.ping()
  gate.hush()
  const { message, ms } = await failure(store)
  expect(message).toContain('it did not answer within 3 s')
  expect(ms).toBeLessThan(30_000)
})

it('connects again if its connection falls silent, as when the host is lost', async () => {
  const { url } = await testRedis()
  const gate = await gated(url)
  closing.push(() => gate.shut())
  const store = storeAt(gate.through(url))
  const key = { view: 'silent@1', entity: 'seat', key: 'a' } as const
  await Promise.all([store.ping(), store.read([key])])
  gate.lose()
  await expect(store.ping()).rejects.toThrow('it did not answer within 3 s')
  await until(async () => (await Promise.allSettled([store.ping(), store.read([key])])).every(({ status }) => status === 'fulfilled'))
})

it('takes an answer that has arrived while the process was stalled for longer than 3 s', async () => {
  const redis = openRedis((await testRedis()).url)
  closing.push(async () => redis.disconnect())
  await redis.ping()
  const answers = Promise.all([redis.ping(), redis.pipeline().ping().exec()])
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_300)
  expect(await answers).toEqual(['PONG', [[null, 'PONG']]])
})

it('takes a connection that was made while the process was stalled', async () => {
  const { url } = await testRedis()
  // after this phase of a turn, timers run before connections are noticed
  await new Promise((resolve) => setImmediate(resolve))
  const redis = openRedis(url)
  closing.push(async () => redis.disconnect())
  const errors: unknown[] = []
  redis.on('error', (error) => errors.push(error))
  while (streamOf(redis) === undefined) await new Promise<void>((resolve) => process.nextTick(resolve))
  expect(streamOf(redis)).toMatchObject({ connecting: true })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_300)
  expect(await redis.ping()).toBe('PONG')
  expect(errors).toEqual([])
})

it('waits at most a second once its signal is aborted', async () => {
  const { port } = await silent()
  // without the signal it takes 3 s, on any machine
  await until(async () => {
    const stop = new AbortController()
    const store = storeAt(`redis://127.0.0.1:${port}`, stop.signal)
    setTimeout(() => stop.abort(), 100)
    return (await failure(store)).ms < 2_000
  })
})

it('keeps its primary when that gets its first replica, and notices a failover and one back', async () => {
  const args = ['--repl-diskless-sync-delay', '0']
  const [first, second] = await Promise.all([ownRedis('redis-server', { args }), ownRedis('redis-server', { args })])
  closing.push(() => Promise.all([first.stop(), second.stop()]))
  const [store, other] = [storeAt(first.url), storeAt(second.url)]
  const follow = async (one: OwnRedis, another: OwnRedis): Promise<void> => {
    await asking(one.port, (redis) => redis.replicaof('127.0.0.1', another.port))
    await until(() => asking(one.port, async (redis) => (await redis.info('replication')).includes('master_link_status:up')))
  }
  const promote = (one: OwnRedis) => asking(one.port, (redis) => redis.replicaof('NO', 'ONE'))
  const [before, others] = [await store.primaries(), await other.primaries()]
  await follow(second, first)
  expect(await store.primaries()).toEqual(before)
  await promote(second)
  expect(await other.primaries()).not.toEqual(others)
  // lost when it follows the other
  await asking(first.port, (redis) => redis.set('lost', '1'))
  await follow(first, second)
  await promote(first)
  expect(await store.primaries()).not.toEqual(before)
  // it forgets the history before its promotion once it has no replica
  await asking(first.port, (redis) => redis.config('SET', 'repl-backlog-ttl', 1))
  await until(() => asking(first.port, async (redis) => (await redis.info('replication')).includes('repl_backlog_active:0')))
  const after = await store.primaries()
  expect(after).not.toEqual(before)
  await follow(second, first)
  expect(await store.primaries()).toEqual(after)
})

it('advises TLS where a connection is reset, unless one has worked', async () => {
  const { url } = await testRedis()
  const gate = new Gate(url)
  // the system would give another one away while the gate is shut
  gate.port = await freePort()
  await gate.open()
  closing.push(() => gate.shut())
  const known = storeAt(gate.through(url))
  await known.ping()
  await gate.shut()
  const resetting = createServer((socket) => socket.resetAndDestroy())
  closing.push(async () => await new Promise((resolve) => resetting.close(resolve)))
  await new Promise<void>((resolve) => resetting.listen(gate.port, '127.0.0.1', resolve))
  const another = storeAt(gate.through(url))
  expect((await failure(known)).message).toMatch(/cannot be used: .*\. Check LOCKSTEP_REDIS_URL and that the server runs\.$/)
  expect((await failure(another)).message).toMatch(/ If it uses TLS, write "rediss" in place of "redis"\.$/)
})
