import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { redisKey } from '../../online/redis-key.ts'
import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis, replicated } from '../services/own-redis.ts'
import type { TestCluster } from '../services/redis-cluster.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'
import { increment } from './increment.ts'
import { stored, storedCount } from './stored-bytes.ts'

let cluster: TestCluster
let store: OnlineStore
beforeAll(async () => {
  cluster = await testRedisCluster('redis-server')
  store = await open('primary')
})
afterAll(async () => {
  await store?.close()
  await cluster?.stop()
})

function open(redisReads: 'primary' | 'replica', redisUrl = cluster.url): Promise<OnlineStore> {
  return openOnlineStore({ redisUrl, redisPrefix: 'failover', redisReads, directory: '/nowhere' })
}

function keysOf(view: `${string}@${number}`, count: number): OnlineKey[] {
  return Array.from({ length: count }, (_, i) => ({ view, entity: 'thing', key: `k${i}` }))
}

/**
 * Adds one to every key, over and over, until told to stop; what is refused for a lost node is tried again. Counts the
 * rounds, by key.
 */
async function writeUntil(over: () => boolean, keys: readonly OnlineKey[], counts: number[]): Promise<void> {
  await Promise.all(
    keys.map(async (key, i) => {
      while (!over()) {
        try {
          await increment(store, key, 1)
          counts[i] = (counts[i] ?? 0) + 1
        } catch (error) {
          if (!(error instanceof LockstepError && error.code === 'REDIS_UNAVAILABLE')) throw error
        }
        await delay(5)
      }
    }),
  )
}

it('continues through a requested failover, and loses nothing', async () => {
  const keys = keysOf('planned@1', 60)
  let over = false
  const counts = keys.map(() => 0)
  const writing = writeUntil(() => over, keys, counts)
  await allPast(counts, 3)
  const [shard] = await cluster.shards()
  if (!shard?.replica) throw new Error('The cluster has no replica.')
  await asking(shard.replica.port, (redis) => redis.call('CLUSTER', 'FAILOVER'))
  await until(async () => (await cluster.shards()).some(({ primary }) => primary.port === shard.replica?.port))
  await allPast(counts, Math.max(...counts))
  over = true
  await writing
  await cluster.whole()
  // A command that was sent again may count once more than its writer knows; none is lost.
  const found = (await store.read(keys)).map((bytes) => bytes && storedCount(bytes))
  for (const [i, count] of counts.entries()) expect(found[i]).toBeGreaterThanOrEqual(count)
})

it('recovers automatically when a primary is killed during reads and writes', async () => {
  const keys = keysOf('killed@1', 60)
  await store.write(keys.map((key) => ({ ...key, expected: null, bytes: stored(1, '') })))
  for (const { primary, replica } of await cluster.shards()) if (replica !== null) await replicated(primary, replica)
  let over = false
  let answered = 0
  const reading = (async () => {
    while (!over) {
      try {
        const values = await store.read(keys)
        answered++
        for (const bytes of values) expect(bytes && storedCount(bytes)).toBe(1)
      } catch (error) {
        expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      }
      await delay(5)
    }
  })()
  const writes = keysOf('killed@2', 30)
  const counts = writes.map(() => 0)
  const writing = writeUntil(() => over, writes, counts)
  await allPast(counts, 3)
  const [before, shard] = [answered, (await cluster.shards()).find(({ replica }) => replica !== null)]
  if (shard === undefined) throw new Error('The cluster has no replica.')
  process.kill(shard.primary.pid, 'SIGKILL')
  await cluster.whole({ replicas: false })
  const ended = answered
  await allPast(counts, Math.max(...counts))
  await until(async () => answered > ended)
  over = true
  await reading
  await writing
  expect(before).toBeGreaterThan(0)
  expect((await store.read(writes)).every((bytes) => bytes !== null)).toBe(true)
})

it('reads from replicas if configured, and from the primary if no replica answers', async () => {
  const keys = keysOf('replicas@1', 100)
  await store.write(keys.map((key) => ({ ...key, expected: null, bytes: stored(7, '') })))
  const shards = await cluster.shards()
  for (const { primary, replica } of shards) if (replica !== null) await replicated(primary, replica)
  // a node names a replica to clients once it has heard how far that has come
  const named = ({ port }: OwnRedis) => asking(port, async (redis) => (await redis.call('CLUSTER', 'SLOTS')) as unknown[][])
  const replicas = shards.filter(({ replica }) => replica !== null).length
  for (const { primary } of shards)
    await until(async () => (await named(primary)).filter(([, , , first]) => first !== undefined).length >= replicas)
  const behind = await open('replica')
  const reads = async (): Promise<number[]> =>
    Promise.all(
      shards.map(async ({ replica }) =>
        replica === null
          ? 0
          : asking(replica.port, async (redis) => Number(/cmdstat_mget:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)),
      ),
    )
  const [first] = [await reads()]
  expect((await behind.read(keys, { behind: true })).map((bytes) => bytes && storedCount(bytes))).toEqual(keys.map(() => 7))
  const second = await reads()
  for (const [i, { replica }] of shards.entries()) if (replica !== null) expect(second[i]).toBeGreaterThan(first?.[i] ?? 0)
  expect(shards.filter(({ replica }) => replica !== null).length).toBeGreaterThan(0)

  await behind.read(keys)
  expect(await reads()).toEqual(second)

  const paused = shards.find(({ replica }) => replica !== null)?.replica
  if (!paused) throw new Error('The cluster has no replica.')
  process.kill(paused.pid, 'SIGSTOP')
  try {
    expect((await behind.read(keys, { behind: true })).every((bytes) => bytes !== null)).toBe(true)
  } finally {
    process.kill(paused.pid, 'SIGCONT')
  }
  await behind.close()
})

it('reads the absent states of an entity by two commands for all views, and names one of another type', async () => {
  const keys = Array.from({ length: 50 }, (_, i): OnlineKey => ({ view: `lacked_${i}@1`, entity: 'thing', key: 'k' }))
  const [first] = keys as [OnlineKey]
  await store.parts?.mark()
  const commands = async (): Promise<number> => {
    const counts = (await cluster.shards()).map(({ primary }) =>
      asking(primary.port, async (redis) =>
        [...(await redis.info('commandstats')).matchAll(/cmdstat_(?:get|mget|exists):calls=(\d+)/g)].reduce(
          (sum, [, calls]) => sum + Number(calls),
          0,
        ),
      ),
    )
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }
  const before = await commands()
  expect(await store.read(keys, { sure: true })).toEqual(keys.map(() => null))
  // the mark of their slot is read with them
  expect((await commands()) - before).toBe(2)
  await store.write([{ ...first, expected: null, bytes: stored(7, '') }])
  expect((await store.read(keys, { sure: true })).map((bytes) => bytes && storedCount(bytes))).toEqual([
    7,
    ...keys.slice(1).map(() => null),
  ])
  const name = redisKey('failover', first)
  const owner = (await cluster.shards()).map(({ primary }) =>
    asking(primary.port, async (redis) => (await redis.del(name)) + (await redis.rpush(name, 'a list'))).catch(() => 0),
  )
  expect((await Promise.all(owner)).toSorted((a, b) => a - b)).toEqual([0, 0, 2])
  await expect(store.read(keys, { sure: true })).rejects.toMatchObject({ code: 'STATE_CORRUPT', message: expect.stringContaining(name) })
})

it('names the right URL for a single Redis as a cluster, and for a node as single', async () => {
  const single = await ownRedis('redis-server')
  const asCluster = await open('primary', single.url.replace('redis:', 'redis+cluster:'))
  const asSingle = await open('primary', `redis://127.0.0.1:${(await cluster.shards())[0]?.primary.port}`)
  const wrong = { code: 'CONFIG_INVALID' }
  for (const use of [() => asCluster.ping(), () => asCluster.read(keysOf('odd@1', 1))]) {
    await expect(use()).rejects.toMatchObject({ ...wrong, message: expect.stringContaining(`Set LOCKSTEP_REDIS_URL to ${single.url},`) })
  }
  const nodes = expect.stringContaining('Set LOCKSTEP_REDIS_URL to redis+cluster://127.0.0.1:')
  await expect(asSingle.ping()).rejects.toMatchObject({ ...wrong, message: nodes })
  await expect(asSingle.read(keysOf('odd@1', 30))).rejects.toMatchObject({ ...wrong, message: nodes })
  for (const each of [asCluster, asSingle]) await each.close()
  await single.stop()
})

it('gives up within 4 s if no node answers, and names the nodes without the password', async () => {
  const lost = await open('primary', 'redis+cluster://user:hush@127.0.0.1:1,127.0.0.1:2')
  const began = performance.now()
  const failure = String(await lost.read(keysOf('odd@1', 1)).catch((error: unknown) => error))
  expect(failure).toContain('Redis at "127.0.0.1:1,127.0.0.1:2" cannot be used: none of its nodes can be reached. Check LOCKSTEP_REDIS_URL')
  expect(failure).not.toContain('hush')
  expect(performance.now() - began).toBeLessThan(30_000)
  await lost.close()
})

/** Waits until every writer has come past a count. */
async function allPast(counts: readonly number[], count: number): Promise<void> {
  await until(async () => counts.every((each) => each > count))
}

async function until(what: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 100_000
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error('it did not happen within 100 s')
    await delay(50)
  }
}
