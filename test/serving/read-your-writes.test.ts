import { afterAll, beforeAll, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

const landing = { airport: 'ATL', at: '2001-07-01T11:30:00Z', delay: 7, amount: null, count: null, city: null, open: null, vec: null }

let world: World
beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_delays')
})
afterAll(() => world?.close())

/** A server whose store runs `between` once after the next read. */
async function serveBetween(between: (store: OnlineStore) => Promise<void>) {
  const store = world.openStore()
  let armed = false
  const read: OnlineStore['read'] = async (keys, how) => {
    const found = await store.read(keys, how)
    if (armed) {
      armed = false
      await between(store)
    }
    return found
  }
  const { server, url } = await world.serve({ store: async () => ({ ...store, read }), pollMs: 600_000 })
  await server.whenReady()
  return { url, arm: () => void (armed = true) }
}

async function pushOffline(url: string): Promise<string> {
  const { body } = await ask(url, '/v1/sources/landings/events', { events: [landing], to: 'offline' })
  return (body as unknown as { token: string }).token
}

it('sees rows folded between the reads of the states and of the checkpoint', async () => {
  const { url, arm } = await serveBetween(() => world.materialize('airport_delays'))
  const after = await pushOffline(url)
  arm()
  const { body } = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }], after })
  expect(body.results[0]?.features).toMatchObject({ lastDelay: 7, landed1h: 1 })
})

it('gives defaults if the online store is down and the request asks for them', async () => {
  const store = world.openStore()
  const { server: whole, url: pushing } = await world.serve()
  await whole.whenReady()
  const after = await pushOffline(pushing)
  let away = false
  const read: OnlineStore['read'] = async (...asked) => {
    if (away) throw new LockstepError('REDIS_UNAVAILABLE', 'It is away.')
    return await store.read(...asked)
  }
  const { server, url } = await world.serve({ store: async () => ({ ...store, read }) })
  await server.whenReady()
  away = true
  const asked = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }], after, onUnavailable: 'defaults' }
  const { status, body } = await ask(url, '/v1/features', asked)
  expect(status).toBe(200)
  expect(body).toMatchObject({ degraded: true, results: [{ statuses: { lastDelay: 'UNAVAILABLE' } }] })
})
