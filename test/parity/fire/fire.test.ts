import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { encodeKey } from '../../../kernel/entity-key.ts'
import { readHeader } from '../../../kernel/stored-state.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import { materializeView } from '../../../materializer/materialize.ts'
import { readHistory } from '../../../offline/history.ts'
import { openOnlineStore } from '../../../online/open-store.ts'
import { createRedisStore } from '../../../online/redis-store.ts'
import type { OnlineStore } from '../../../online/store.ts'
import { applyChanges } from '../../../registry/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadDefinitions } from '../../../registry/load-definitions.ts'
import { openPostgres } from '../../../runtime/open-postgres.ts'
import { definitionFiles } from '../../registry/definition-files.ts'
import { testDatabase, testRedis } from '../../services/index.ts'
import { testRedisCluster } from '../../services/redis-cluster.ts'
import { fireDefinitions, fireEntities } from './fire-events.ts'
import type { ReadAnswer } from './readers.ts'
import { read } from './readers.ts'
import { startWriters } from './writers.ts'

/** `npm run fire` burns for 30 s. */
const seconds = Number(process.env['LOCKSTEP_TEST_FIRE_SECONDS'] ?? 8)
const roles = ['push', 'push', 'push', 'push', 'incremental', 'incremental', 'backfill', 'backfill']
const readers = 8

const files = definitionFiles({ 'fire.ts': fireDefinitions })

/** What each entity holds, without its frontier. */
async function bodies(store: OnlineStore, plan: ViewPlan): Promise<(string | null)[]> {
  const keys = plan.key.length === 0 ? [''] : Array.from({ length: fireEntities }, (_, account) => encodeKey(plan.key, [account]))
  const stored = await store.read(keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
  return stored.map((bytes) => bytes && bytes.toString('hex', readHeader(bytes, plan.id).bodyAt))
}

it('every state and every answer under fire is that of the offline history', { timeout: seconds * 1_000 + 120_000 }, async () => {
  const database = await testDatabase()
  const cluster = await testRedisCluster('redis-server')
  const db = openPostgres(database.url)
  const store = await openOnlineStore({ redisUrl: cluster.url, redisPrefix: 'fire', redisReads: 'primary', directory: '/nowhere' })
  try {
    await applyChanges(db, await loadDefinitions(`${files}/fire.ts`))
    const plans = [...(await loadCatalog(db)).views.values()]
    for (const plan of plans) await materializeView(db, store, plan)

    const writers = startWriters(database.url, cluster.url, roles)
    const answers: ReadAnswer[] = []
    let over = false
    const reading = Array.from({ length: readers }, (_, i) => read(store, plans, 1_000 + i, () => over, answers))
    const end = performance.now() + seconds * 1_000
    const failAt = performance.now() + seconds * 400
    let failed = false
    while (performance.now() < end) {
      await setTimeout(1_500)
      writers.killOne()
      if (failed || performance.now() < failAt) continue
      failed = true
      const shard = (await cluster.shards()).find(({ replica }) => replica !== null)
      if (shard !== undefined) process.kill(shard.primary.pid, 'SIGKILL')
    }
    await cluster.whole({ replicas: false })
    over = true
    await Promise.all(reading)
    await writers.stop()

    for (const plan of plans) await materializeView(db, store, plan)
    for (const plan of plans) expect(await materializeView(db, store, plan)).toMatchObject({ rows: 0 })

    const rows = await db.query<{ id: string }>('select _event_id as id from lockstep_source.orders')
    const ids = new Set(rows.map(({ id }) => id))
    expect(ids.size).toBe(rows.length)
    expect([...writers.accepted].filter((id) => !ids.has(id))).toEqual([])

    const redis = await testRedis()
    const fresh = createRedisStore({ redis: new Redis(redis.url), prefix: redis.prefix })
    for (const plan of plans) {
      await materializeView(db, fresh, plan)
      const [held, rebuilt] = [await bodies(store, plan), await bodies(fresh, plan)]
      const different = held.flatMap((body, i) => (body === rebuilt[i] ? [] : [i]))
      expect([plan.id, different]).toEqual([plan.id, []])
    }
    await fresh.close()

    const history = await readHistory(
      db,
      answers.map(({ request }) => request),
    )
    const wrong = answers.flatMap(({ request, values }, i) =>
      JSON.stringify(values) === JSON.stringify(history[i])
        ? []
        : [{ request: { ...request, plan: request.plan.id }, values, history: history[i] }],
    )
    expect(wrong.slice(0, 5)).toEqual([])
    expect([failed, writers.killed() > 3, rows.length > 100, answers.length > 1_000]).toEqual([true, true, true, true])
    if (process.env['LOCKSTEP_TEST_FIRE_SECONDS'] !== undefined) {
      process.stderr.write(`fire: ${seconds} s, ${rows.length} rows, ${answers.length} answers, ${writers.killed()} writers killed\n`)
    }
  } finally {
    await store.close()
    await db.close()
    await cluster.stop()
    await database.drop()
  }
})
