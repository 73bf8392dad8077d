import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { materializeView } from '../../materializer/materialize.ts'
import { noticeFailover } from '../../materializer/notice-failover.ts'
import { markerKey, readMarker } from '../../online/marker.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { redisKey } from '../../online/redis-key.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/database.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import { asking } from '../services/own-redis.ts'
import type { TestCluster } from '../services/redis-cluster.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'
import { freshView, many, moment } from './fixture.ts'
import { storedStates } from './payments.ts'

let database: TestDatabase
let db: Database
let cluster: TestCluster
let store: OnlineStore
beforeAll(async () => {
  ;[database, cluster] = await Promise.all([testDatabase(), testRedisCluster('redis-server')])
  db = openPostgres(database.url)
  store = await openOnlineStore({ redisUrl: cluster.url, redisPrefix: 'fail', directory: '/nowhere' })
})
afterAll(async () => {
  await store.close()
  await db.close()
  await database.drop()
  await cluster.stop()
})

it('goes over the last arrivals again where a replica has taken over that lacks acknowledged writes', async () => {
  const { table, plan } = await freshView(db)
  await table.insert(many(1_500))
  await materializeView(db, store, plan, { moment })
  const marker = redisKey('fail', markerKey(plan.id))
  const shards = await cluster.shards()
  const owners = await Promise.all(shards.map(({ primary }) => asking(primary.port, (redis) => redis.exists(marker)).catch(() => 0)))
  const shard = shards[owners.indexOf(1) === 0 ? 1 : 0]
  if (!shard?.replica) throw new Error('The cluster has no replica.')
  await asking(shard.primary.port, (redis) => redis.wait(1, 2_000))
  const between = Date.now()
  await delay(5)

  process.kill(shard.replica.pid, 'SIGSTOP')
  await asking(shard.primary.port, (redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'replica'))
  await table.insert(many(1_500))
  await materializeView(db, store, plan, { moment })
  const ahead = await readMarker(store, plan.id)
  expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  process.kill(shard.primary.pid, 'SIGKILL')
  process.kill(shard.replica.pid, 'SIGCONT')
  await cluster.whole({ replicas: false })

  // What was acknowledged is lost, and the marker, on another primary, says nothing of it.
  expect(await storedStates(store, plan, table.keys(plan))).not.toEqual(table.expected(plan, moment))
  expect(await readMarker(store, plan.id)).toEqual(ahead)

  const replay = (nowMs: number) => noticeFailover(db, store, { nowMs, replayMs: nowMs - between })
  expect(await replay(Date.now())).toEqual([plan.id])
  const back = await readMarker(store, plan.id)
  expect(back?.frontier.below).toBeGreaterThan(1)
  expect(back?.frontier.below).toBeLessThan(ahead?.frontier.below ?? 0)
  expect(await replay(Date.now())).toEqual([])
  const { rows } = await materializeView(db, store, plan, { moment })
  expect(rows).toBeGreaterThan(0)
  expect(rows).toBeLessThan(1_500)
  expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
}, 30_000)

it('is noticed by the next run itself', async () => {
  const { table, plan } = await freshView(db)
  await table.insert(many(300))
  await materializeView(db, store, plan, { moment })
  const shard = (await cluster.shards()).find(({ replica }) => replica !== null)
  if (!shard?.replica) throw new Error('The cluster has no replica.')
  const { replica } = shard
  await asking(replica.port, (redis) => redis.call('CLUSTER', 'FAILOVER'))
  while (!(await cluster.shards()).some(({ primary }) => primary.port === replica.port)) await delay(25)
  expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0 })
  expect(await noticeFailover(db, store, { nowMs: Date.now() })).toEqual([])
}, 20_000)
