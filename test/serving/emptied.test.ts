import { afterAll, beforeAll, expect, it } from 'vitest'
import { openOnlineStore } from '../../online/open-store.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

let world: World
let redis: OwnRedis
beforeAll(async () => {
  ;[world, redis] = await Promise.all([createWorld('embedded'), ownRedis('redis-server')])
})
afterAll(async () => {
  await world?.close()
  await redis?.stop()
})

it('never answers NOT_FOUND from an emptied Redis until a run has refilled it', async () => {
  const open = () => openOnlineStore({ redisUrl: redis.url, redisPrefix: 'emptied', directory: '/nowhere' })
  const store = await open()
  await world.materialize('airport_delays', noon, store)
  const { url, server } = await world.serve({ store: open })
  await server.whenReady()
  const question = { service: 'flight', entities: [{ airport: 'nowhere', distance: 1 }] }
  const first = await ask(url, '/v1/features', question)
  expect(first.status).toBe(200)
  expect(Object.values(first.body.results[0]?.statuses ?? {})).toContain('NOT_FOUND')

  await asking(redis.port, (admin) => admin.flushall())
  for (const airport of ['nowhere', 'ATL']) {
    const answer = await ask(url, '/v1/features', { ...question, entities: [{ airport, distance: 1 }] })
    expect([answer.status, answer.body.error.code]).toEqual([503, 'NOT_READY'])
    expect(answer.body.error.message).toContain('"airport_delays@1"')
  }
  await until(async () => (await ask(url, '/readyz')).body.warnings?.some((warning) => warning.includes('"airport_delays@1"')) ?? false)

  const plans = [...(await loadCatalog(world.db)).views.values()].filter(({ id }) => id === 'airport_delays@1')
  expect(await findIncompleteViews(store, plans)).toMatchObject([{ view: 'airport_delays@1' }])
  await world.materialize('airport_delays', noon, store)
  expect(await findIncompleteViews(store, plans)).toEqual([])
  expect((await ask(url, '/v1/features', question)).body.results).toEqual(first.body.results)
  await server.close()
  await store.close()
})
