import { setTimeout as delay } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { detectFailover } from '../../materializer/runs/detect-failover.ts'
import { checkpointKey, readCheckpoint } from '../../online/checkpoint.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { readOnline } from '../../online/read.ts'
import { redisKey } from '../../online/redis-key.ts'
import type { OnlineStore } from '../../online/store.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import { asking, replicated } from '../services/own-redis.ts'
import type { TestCluster } from '../services/redis-cluster.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'
import { freshView, many, moment } from './fixture.ts'
import { accountKey, storedStates } from './payments.ts'

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
  await store?.close()
  await db?.close()
  await database?.drop()
  await cluster?.stop()
})

it('rereads the last arrivals after a failover to a replica that lacks writes', async () => {
  const { table, plan } = await freshView(db)
  await table.insert(many(1_500))
  await materializeView(db, store, plan, { moment })
  const checkpoint = redisKey('fail', checkpointKey(plan.id))
  const shards = await cluster.shards()
  const owners = await Promise.all(shards.map(({ primary }) => asking(primary.port, (redis) => redis.exists(checkpoint)).catch(() => 0)))
  const shard = shards[owners.indexOf(1) === 0 ? 1 : 0]
  if (!shard?.replica) throw new Error('The cluster has no replica.')
  await replicated(shard.primary, shard.replica)
  const between = Date.now()
  await delay(5)

  process.kill(shard.replica.pid, 'SIGSTOP')
  await asking(shard.primary.port, (redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'replica'))
  await table.insert(many(1_500))
  await materializeView(db, store, plan, { moment })
  const ahead = await readCheckpoint(store, plan.id)
  expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  process.kill(shard.primary.pid, 'SIGKILL')
  process.kill(shard.replica.pid, 'SIGCONT')
  await cluster.whole({ replicas: false })

  // What was acknowledged is lost, and the checkpoint, on another primary, says nothing of it.
  expect(await storedStates(store, plan, table.keys(plan))).not.toEqual(table.expected(plan, moment))
  expect(await readCheckpoint(store, plan.id)).toEqual(ahead)

  const replay = (nowMs: number) => detectFailover(db, store, { nowMs, replayMs: nowMs - between })
  expect(await replay(Date.now())).toEqual([plan.id])
  const back = await readCheckpoint(store, plan.id)
  expect(back?.frontier.below).toBeGreaterThan(1)
  expect(back?.frontier.below).toBeLessThan(ahead?.frontier.below ?? 0)
  expect(await replay(Date.now())).toEqual([])
  const { rows } = await materializeView(db, store, plan, { moment })
  expect(rows).toBeGreaterThan(0)
  expect(rows).toBeLessThan(1_500)
  expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
})

it('is asked for checkpoints and for lost states at once, as a silent server holds up each for seconds', async () => {
  await cluster.whole({ replicas: false })
  const { table, plan } = await freshView(db)
  await table.insert(many(3))
  await materializeView(db, store, plan, { moment })
  const { parts } = store
  if (parts === undefined) throw new Error('The store of a cluster has parts.')
  const asked = Promise.withResolvers<void>()
  const slow: typeof store = {
    ...store,
    async read(...of) {
      await asked.promise
      return await store.read(...of)
    },
    parts: {
      ...parts,
      async lost() {
        asked.resolve()
        return await parts.lost()
      },
    },
  }
  const within = delay(60_000, 'not at once', { ref: false })
  expect(await Promise.race([findIncompleteViews(slow, [plan]), within])).toEqual([])
})

it('is incomplete if one primary was emptied, until a run has rebuilt it', async () => {
  await cluster.whole({ replicas: false })
  const { table, plan } = await freshView(db)
  await table.insert(many(300))
  await materializeView(db, store, plan, { moment })
  const request = (account: string) => ({ plan, key: accountKey(plan, account) })
  const accounts = ['account 0', ...Array.from({ length: 20 }, (_, i) => `nobody ${i}`)]
  const before = await readOnline(store, accounts.map(request), moment)
  expect(before.map(({ frontier }) => frontier === null)).toEqual(accounts.map((_, i) => i > 0))
  expect(await findIncompleteViews(store, [plan])).toEqual([])

  const checkpoint = redisKey('fail', checkpointKey(plan.id))
  const shards = await cluster.shards()
  const owners = await Promise.all(shards.map(({ primary }) => asking(primary.port, (redis) => redis.exists(checkpoint)).catch(() => 0)))
  const { primary } = shards[owners.indexOf(1) === 0 ? 1 : 0] ?? {}
  if (primary === undefined) throw new Error('The cluster has no primary.')
  await asking(primary.port, (redis) => redis.flushall())

  // its checkpoint, on another primary, says nothing of it
  expect(await readCheckpoint(store, plan.id)).not.toBeNull()
  expect(await storedStates(store, plan, table.keys(plan))).not.toEqual(table.expected(plan, moment))
  const answers = await Promise.allSettled(accounts.map((account) => readOnline(store, [request(account)], moment)))
  const refused = answers.filter((answer) => answer.status === 'rejected')
  expect(refused.length).toBeGreaterThan(0)
  expect(refused.length).toBeLessThan(accounts.length)
  for (const { reason } of refused)
    expect(reason).toMatchObject({ code: 'NOT_READY', message: expect.stringContaining('A server of the Redis Cluster was emptied') })
  expect(await findIncompleteViews(store, [plan])).toMatchObject([
    { view: plan.id, problem: expect.stringContaining(`lockstep materialize ${plan.id}`) },
  ])

  expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'incremental' })
  expect(await findIncompleteViews(store, [plan])).toEqual([])
  expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  expect((await readOnline(store, accounts.map(request), moment)).map(({ values }) => values)).toEqual(before.map(({ values }) => values))
  // others are restarted by their next run
  expect(await detectFailover(db, store, { nowMs: Date.now() })).toEqual([])

  const key = redisKey('fail', { view: plan.id, entity: 'account', key: accountKey(plan, 'foreign') })
  const admin = new Cluster([{ host: '127.0.0.1', port: primary.port }])
  await admin.hset(key, 'a', 'hash')
  await expect(readOnline(store, [request('foreign')], moment)).rejects.toMatchObject({
    code: 'STATE_CORRUPT',
    message: expect.stringContaining(key),
  })
  await admin.quit()
})

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
  expect(await detectFailover(db, store, { nowMs: Date.now() })).toEqual([])
})
