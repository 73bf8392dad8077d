import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { expect, it, vi } from 'vitest'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import { noTransactions } from '../../../kernel/states/frontier.ts'
import { decodeStored, encodeStored, readHeader } from '../../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import { materializeView } from '../../../materializer/runs/materialize.ts'
import { detectFailover } from '../../../materializer/runs/detect-failover.ts'
import { readHistory } from '../../../offline/history.ts'
import { openOnlineStore } from '../../../online/open-store.ts'
import { createRedisStore } from '../../../online/redis-store.ts'
import type { OnlineStore } from '../../../online/store.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadDefinitions } from '../../../registry/load/load-definitions.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../../registry/definition-files.ts'
import { testDatabase, testRedis } from '../../services/index.ts'
import { testRedisCluster } from '../../services/redis-cluster.ts'
import { fireDefinitions, fireEntities, fireEvents, seeded } from './fire-events.ts'
import type { ReadAnswer } from './readers.ts'
import { read } from './readers.ts'
import { startWriters } from './writers.ts'

/** `npm run fire` burns for 30 s. */
const seconds = Number(process.env['LOCKSTEP_TEST_FIRE_SECONDS'] ?? 5)
const roles = ['push', 'push', 'stream', 'stream', 'incremental', 'incremental', 'backfill', 'backfill']
const readers = 8

/** The states by entity, without the frontier, once all rows that wait for an earlier moment are visible. */
async function bodies(store: OnlineStore, plan: ViewPlan, moment: number): Promise<(string | null)[]> {
  const keys = plan.key.length === 0 ? [''] : Array.from({ length: fireEntities }, (_, account) => encodeKey(plan.key, [account]))
  const stored = await store.read(keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
  return stored.map((bytes) => {
    if (bytes === null) return null
    const state = decodeStored(plan, bytes)
    state.advance(moment)
    const advanced = encodeStored(state, noTransactions)
    return advanced.toString('hex', readHeader(advanced, plan.id).bodyAt)
  })
}

async function eventIds(db: Database): Promise<string[]> {
  return (await db.query<{ id: string }>('select _event_id as id from lockstep_source.orders')).map(({ id }) => id)
}

/** Adds events to a stream. @returns their ids */
async function produce(url: string, stream: string, over: () => boolean): Promise<Set<string>> {
  const redis = new Redis(url)
  const next = fireEvents('stream', seeded(4_711))
  const ids = new Set<string>()
  while (!over()) {
    for (const { _event_id: id, ...event } of next(4)) {
      await redis.xadd(stream, '*', 'data', JSON.stringify({ _event_id: id, ...event }))
      ids.add(id)
    }
    await setTimeout(20)
  }
  await redis.quit()
  return ids
}

it('every state and answer under fire equals the offline history', { timeout: seconds * 1_000 + 600_000 }, async () => {
  const database = await testDatabase()
  const cluster = await testRedisCluster('redis-server')
  const db = openPostgres(database.url)
  const store = await openOnlineStore({ redisUrl: cluster.url, redisPrefix: 'fire', redisReads: 'primary', directory: '/nowhere' })
  try {
    const shared = await testRedis()
    const feed = `${shared.prefix}orders`
    const files = definitionFiles({ 'fire.ts': fireDefinitions(feed) })
    await applyChanges(db, await loadDefinitions(`${files}/fire.ts`))
    const plans = [...(await loadCatalog(db)).views.values()]
    for (const plan of plans) await materializeView(db, store, plan)

    const writers = startWriters(database.url, cluster.url, shared.url, roles)
    await writers.ready
    const answers: ReadAnswer[] = []
    let over = false
    const reading = Array.from({ length: readers }, (_, i) => read(store, plans, 1_000 + i, () => over, answers))
    const producing = produce(shared.url, feed, () => over)
    const end = performance.now() + seconds * 1_000
    const failAt = performance.now() + seconds * 400
    let failed = false
    const unnoticed = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY }
    let noticing: Promise<void> | null = null
    const lacksKills = () => writers.killed() < 4
    const isKnownAbsent = ({ absent, request }: ReadAnswer) => absent && request.frontier !== noTransactions
    const lacksAnswers = () => answers.length < 2_000 || answers.filter(isKnownAbsent).length < 40
    // a busy machine takes longer to answer enough: then no more writers are killed, as each start slows it further
    while (performance.now() < end || ((lacksAnswers() || lacksKills()) && performance.now() < end + 120_000)) {
      await setTimeout(1_500)
      if (performance.now() < end || lacksKills()) writers.killOne()
      if (failed || performance.now() < failAt) continue
      const shard = (await cluster.shards()).find(({ replica }) => replica !== null)
      if (shard === undefined) continue
      failed = true
      unnoticed.from = Date.now() * 1000
      process.kill(shard.primary.pid, 'SIGKILL')
      noticing = (async () => {
        await cluster.whole({ replicas: false })
        await detectFailover(db, store, { nowMs: Date.now() })
        unnoticed.to = Date.now() * 1000
      })()
    }
    await noticing
    over = true
    await Promise.all(reading)
    const streamed = await producing
    await vi.waitFor(async () => expect((await eventIds(db)).filter((id) => streamed.has(id)).length).toBe(streamed.size), {
      timeout: 120_000,
      interval: 250,
    })
    await writers.stop()

    for (const plan of plans) await materializeView(db, store, plan)
    for (const plan of plans) expect(await materializeView(db, store, plan)).toMatchObject({ rows: 0 })

    const rows = await eventIds(db)
    const ids = new Set(rows)
    expect(ids.size).toBe(rows.length)
    expect([...writers.accepted].filter((id) => !ids.has(id))).toEqual([])

    const moment = Date.now() * 1000
    const redis = await testRedis()
    const fresh = createRedisStore({ redis: new Redis(redis.url), prefix: redis.prefix })
    for (const plan of plans) {
      await materializeView(db, fresh, plan)
      const [held, rebuilt] = [await bodies(store, plan, moment), await bodies(fresh, plan, moment)]
      const different = held.flatMap((body, i) => (body === rebuilt[i] ? [] : [i]))
      expect([plan.id, different]).toEqual([plan.id, []])
    }
    await fresh.close()

    // until a failover is noticed, checkpoints hold what its replica may never have got
    const judged = answers.filter(
      ({ absent, request: { asOf }, answeredAt }) => !absent || answeredAt < unnoticed.from || asOf > unnoticed.to,
    )
    const history = await readHistory(
      db,
      judged.map(({ request }) => request),
    )
    const wrong = judged.flatMap(({ request, values }, i) =>
      JSON.stringify(values) === JSON.stringify(history[i])
        ? []
        : [{ request: { ...request, plan: request.plan.id }, values, history: history[i] }],
    )
    expect(wrong.slice(0, 5)).toEqual([])
    const absent = judged.filter(isKnownAbsent)
    if (process.env['LOCKSTEP_TEST_FIRE_SECONDS'] !== undefined) {
      process.stderr.write(
        `fire: ${seconds} s, ${rows.length} rows, ${judged.length} answers, ${absent.length} of them absent, ${writers.killed()} writers killed\n`,
      )
    }
    expect([failed, writers.killed() > 3, rows.length > 100, judged.length > 1_000, absent.length > 20]).toEqual(Array(5).fill(true))
  } finally {
    await store.close()
    await db.close()
    await cluster.stop()
    await database.drop()
  }
})
