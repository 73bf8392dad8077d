import { afterAll, beforeAll, expect, it } from 'vitest'
import { openOnlineStore } from '../../online/open-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import { createLogger } from '../../runtime/log.ts'
import { createMemoryWatch } from '../../serving/lifecycle/memory-watch.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis } from '../services/own-redis.ts'

let redis: OwnRedis
let store: OnlineStore

beforeAll(async () => {
  redis = await ownRedis('redis-server')
  store = await openOnlineStore({ redisUrl: redis.url, redisPrefix: 'evicting', directory: '/nowhere' })
})
afterAll(async () => {
  await store?.close()
  await redis?.stop()
})

const set = (name: string, value: string) => asking(redis.port, (admin) => admin.config('SET', name, value))

it('a Redis that may delete states, or has, is named with what to do, and logged once', async () => {
  const logged: (string | undefined)[] = []
  const watch = createMemoryWatch(
    createLogger('info', { write: (line) => void logged.push((JSON.parse(line) as { warning?: string }).warning) }),
  )
  const look = async (): Promise<readonly string[]> => {
    await watch.check(store)
    return watch.warnings
  }
  expect(await look()).toEqual([])
  await set('maxmemory-policy', 'allkeys-lru')
  const may = await look()
  expect(may).toEqual([expect.stringMatching(/ deletes states when it is full, .* Set its maxmemory-policy to noeviction\.$/)])
  expect(await look()).toEqual(may)
  expect(logged).toEqual(may)

  const fill = (from: number, to: number) =>
    asking(redis.port, async (admin) => {
      for (let i = from; i < to; i++) await admin.set(`other ${i}`, 'x'.repeat(100_000))
    })
  await fill(0, 60)
  await set('maxmemory', '4mb')
  await fill(60, 61)
  await set('maxmemory', '100mb')
  const has = await look()
  expect(has).toEqual([
    expect.stringMatching(/ has deleted (a key|\d+ keys)\. .* noeviction, then run "lockstep materialize --rebuild"\.$/),
  ])
  await set('maxmemory', '3mb')
  await fill(61, 62)
  await set('maxmemory', '100mb')
  expect(await look()).not.toEqual(has)
  expect(logged).toEqual([...may, ...has])

  // states have no time to live
  await set('maxmemory-policy', 'volatile-lru')
  expect(await look()).toEqual([])
})

it('a Redis that became a replica is named until it is a primary again', async () => {
  const watch = createMemoryWatch(createLogger('silent'))
  const look = async (): Promise<readonly string[]> => {
    await watch.check(store)
    return watch.warnings
  }
  await asking(redis.port, (admin) => admin.replicaof('127.0.0.1', 1))
  expect(await look()).toEqual([expect.stringMatching(/ is a replica, .* Set LOCKSTEP_REDIS_URL to the primary\.$/)])
  await asking(redis.port, (admin) => admin.replicaof('NO', 'ONE'))
  expect(await look()).toEqual([])
})
