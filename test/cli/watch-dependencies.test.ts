import { afterAll, beforeAll, expect, it } from 'vitest'
import { watchDependencies } from '../../cli/watch-dependencies.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { createLogger } from '../../runtime/log.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { openBehind } from '../open-behind.ts'
import { testDatabase } from '../services/index.ts'
import { asking } from '../services/own-redis.ts'
import type { TestCluster } from '../services/redis-cluster.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'

let cluster: TestCluster
let db: Database
let store: OnlineStore
let drop: () => Promise<void>
let url: string

beforeAll(async () => {
  const [database, opened] = await Promise.all([testDatabase(), testRedisCluster('redis-server')])
  cluster = opened
  drop = database.drop
  url = database.url
  db = openPostgres(database.url)
  store = await openOnlineStore({ redisUrl: cluster.url, redisPrefix: 'watched', directory: '/nowhere' })
})
afterAll(async () => {
  await store?.close()
  await db?.close()
  await drop?.()
  await cluster?.stop()
})

it('a worker stays ready while a primary is full or dead, and names it', async () => {
  const logged: string[] = []
  const watched = await watchDependencies(
    { db, store },
    createMetricsRegistry(),
    createLogger('info', { write: (line) => void logged.push(line) }),
  )
  const wait = { timeout: 60_000, interval: 100 }
  const shards = await cluster.shards()
  const [{ primary: full } = must(), { primary: dead, replica } = must()] = shards
  // a server that stands still at the first look answers the next
  await expect.poll(() => watched.readiness(), wait).toEqual({ ready: true, failing: [] })

  await asking(full.port, (redis) => redis.config('SET', 'maxmemory', '1'))
  const almostFull = new RegExp(`^Redis at "127\\.0\\.0\\.1:${full.port}" uses \\d+ % of its maxmemory`)
  const warned = { ready: true, failing: [], degraded: ['store'], warnings: [expect.stringMatching(almostFull)] }
  await expect.poll(() => watched.readiness(), wait).toEqual(warned)
  await asking(full.port, (redis) => redis.config('SET', 'maxmemory', '0'))
  await expect.poll(() => watched.readiness(), wait).toEqual({ ready: true, failing: [] })

  for (const each of shards) await asking(each.primary.port, (redis) => redis.config('SET', 'cluster-require-full-coverage', 'no'))
  for (const { pid } of [replica ?? must(), dead]) process.kill(pid, 'SIGKILL')
  const silent = `The server "127.0.0.1:${dead.port}" of the Redis Cluster does not answer.`
  const named = { ready: true, failing: [], degraded: ['store'], warnings: [expect.stringContaining(silent)] }
  await expect.poll(() => watched.readiness(), wait).toEqual(named)
  const ofDead = (line: string): boolean => line.includes(`"server":"127.0.0.1:${dead.port}"`)
  expect(logged.filter((line) => ofDead(line) && line.includes('a server of the Redis Cluster does not answer'))).toHaveLength(1)
  await watched.close()
})

it('a worker warns if its clock differs from that of the database', async () => {
  const behind = await openBehind(url, db)
  const watched = await watchDependencies({ db: behind, store: null }, createMetricsRegistry(), createLogger('silent'))
  const warning = 'The clock of this worker is 7200.0 s ahead of that of the database. Check its time synchronization (NTP).'
  await expect
    .poll(() => watched.readiness(), { timeout: 60_000 })
    .toEqual({ ready: true, failing: [], degraded: ['clock'], warnings: [warning] })
  await watched.close()
  await behind.close()
})

it('does not log that the database is down when the worker gets SIGTERM', async () => {
  const ending = new AbortController()
  const stopped = openPostgres(url, { signal: ending.signal })
  const logged: string[] = []
  ending.abort(new Error('Stopped by SIGTERM.'))
  // a database that is to end takes statements for cleanup for a moment, and then none
  const isOver = () =>
    stopped.ping().then(
      () => false,
      () => true,
    )
  await expect.poll(isOver, { timeout: 60_000, interval: 50 }).toBe(true)
  const watched = await watchDependencies(
    { db: stopped, store: null },
    createMetricsRegistry(),
    createLogger('info', { write: (line) => void logged.push(line) }),
    ending.signal,
  )
  await watched.close()
  await stopped.close()
  expect(logged).toEqual([])
})

function must(): never {
  throw new Error('The cluster lacks a server.')
}
