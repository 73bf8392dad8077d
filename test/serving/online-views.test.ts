import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCheckpoint, removeCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import { createKey } from '../../registry/keys/api-keys.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { workerUrl } from '../../runtime/postgres/worker-sessions.ts'
import { testDatabase } from '../services/index.ts'
import { nextServingSet, servingSet } from './definitions.ts'
import { until } from './gate.ts'
import { sendHeaders } from './send-headers.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

/** Headers that each show that a request from this machine may come from another one. */
const proxied: readonly Record<string, string>[] = [
  { 'x-forwarded-for': '203.0.113.9' },
  { 'x-forwarded-proto': 'https' },
  { 'x-real-ip': '203.0.113.9' },
  { forwarded: 'for=203.0.113.9' },
  { via: '1.1 proxy' },
  { host: 'features.localhost.example' },
]

describe.each(['redis', 'embedded'] as const)('a server over the %s store', (kind) => {
  let world: World
  let url: string

  beforeAll(async () => {
    world = await createWorld(kind)
    await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
    await world.materialize('airport_delays')
    const served = await world.serve()
    url = served.url
    await served.server.whenReady()
  })
  afterAll(() => world?.close())

  const warnings = async () => (await ask(url, '/readyz')).body.warnings ?? []
  const about = async (view: string) => (await warnings()).filter((warning) => warning.includes(`"${view}"`))
  const gauge = async (view: string) =>
    new RegExp(`lockstep_online_view_materialized\\{view="${view}"\\} (\\d)`).exec((await ask(url, '/metrics')).text)?.[1]

  it('warns of each online view that was never materialized here, until it is', async () => {
    await until(async () => (await about('airport_required@1')).length === 1)
    expect((await ask(url, '/readyz')).status).toBe(200)
    expect(await about('airport_required@1')).toEqual([
      'The view "airport_required@1" is not materialized in this online store: run "lockstep materialize airport_required@1", or wait for a worker.',
    ])
    expect([await gauge('airport_required@1'), await gauge('airport_delays@1')]).toEqual(['0', '1'])
    expect(await about('airport_delays@1')).toEqual([])
    // it is not kept online
    expect(await about('airport_offline@1')).toEqual([])
    await world.materialize('airport_required')
    await until(async () => (await about('airport_required@1')).length === 0)
    await until(async () => (await gauge('airport_required@1')) === '1')
  })

  it('resolves a bare name to the newest stored version, even while a newer one fills', async () => {
    const entities = [{ airport: 'ATL', distance: 100 }]
    const features = async (service: string) =>
      (await ask(url, '/v1/features', { service, entities: entities.map(({ airport }) => ({ airport })) })).body
    const flight = async () => (await ask(url, '/v1/features', { service: 'flight', entities })).body
    const feast = async (...names: string[]) => {
      const body = { features: names, entities: { airport: ['ATL'], distance: [100] }, include_feature_view_version_metadata: true }
      return (await ask(url, '/get-online-features', body)).text
    }
    const explained = async () => (await ask(url, '/v1/explain', { view: 'airport_delays', entity: { airport: 'ATL' } })).text
    expect((await flight()).version).toBe(1)
    const { revision } = await applyChanges(world.db, nextServingSet())
    await until(async () => world.logged.some((line) => line.includes(`"revision":${revision}`)))
    for (let i = 0; i < 5; i++) expect(await flight()).toMatchObject({ version: 1, results: [{ features: { landed1h: 1 } }] })
    expect((await features('flight@2')).error).toMatchObject({ code: 'NOT_READY' })
    const feast1 = await feast('airport_delays:landed1h', 'flight_context:pressure')
    expect(feast1).toContain('{"name":"airport_delays","version":1},{"name":"flight_context","version":1}')
    expect(feast1).toContain('"values":[0.25]')
    expect(await explained()).toContain('"view":"airport_delays@1"')

    await world.materialize('airport_delays@2')
    await until(async () => (await features('flight')).version === 2)
    expect((await features('flight')).results[0]?.features).toEqual({ lastDelay: 25, landed2h: 1 })
    expect(await feast('airport_delays:landed2h', 'flight_context:pressure')).toContain(
      '{"name":"airport_delays","version":2},{"name":"flight_context","version":2}',
    )
    expect(await explained()).toContain('"view":"airport_delays@2"')
    expect((await ask(url, '/v1/features', { service: 'flight@1', entities })).body.version).toBe(1)
    await world.store.removeView('airport_delays@2')
    await until(async () => (await flight()).version === 1)
  })

  it('reports that a feature view is not a service, and names its services', async () => {
    const { status, body } = await ask(url, '/v1/features', { service: 'airport_typed', entities: [{ airport: 'ATL' }] })
    expect(status).toBe(404)
    expect(body.error.message).toBe(
      'There is no feature service "airport_typed" in the registry: "airport_typed" is a feature view. Use a feature service that lists it: "typed@1".',
    )
  })

  it("never answers from another database's views or their pushes, and is not ready", async () => {
    const other = await testDatabase()
    const db = openPostgres(other.url)
    await applyChanges(db, servingSet)
    const { url: there, server } = await world.serve({ database: async () => openPostgres(other.url) })
    try {
      await until(async () => (await ask(there, '/readyz')).body.reasons?.some((reason) => reason.includes('holds none')) ?? false)
      const event = { airport: 'ORD', at: '2001-07-01T11:40:00Z', delay: 5, amount: null, count: null, city: null, open: null, vec: null }
      const pushed = await ask(there, '/v1/sources/landings/events?wait=online', { events: [event] })
      expect([pushed.status, JSON.parse(pushed.text)]).toMatchObject([200, { accepted: 1, online: false }])
      for (const airport of ['ATL', 'ORD', 'nowhere']) {
        const answer = await ask(there, '/v1/features', { service: 'flight', entities: [{ airport, distance: 1 }] })
        expect([answer.status, answer.body.error.code]).toEqual([503, 'NOT_READY'])
      }
      const { status, body } = await ask(there, '/readyz')
      expect([status, body.reasons]).toEqual([503, ['The online store holds none of the served views.']])
      expect(body.warnings?.find((warning) => warning.includes('"airport_delays@1"'))).toContain('belongs to another database')

      // without keys, this machine sees why, unless a proxy on it may have passed the request on
      for (const headers of proxied) {
        const passedOn = await sendHeaders(`${there}/readyz`, headers)
        expect(JSON.parse(passedOn.text)).toEqual({ ready: false, failing: ['views'], degraded: ['views'] })
      }

      // once there are keys, admins alone see why: a proxy on this machine may say nothing of itself
      const request = { name: '', requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
      const [read, admin] = [await createKey(db, { ...request, scopes: ['read'] }), await createKey(db, { ...request, scopes: ['admin'] })]
      const readyz = async (text?: string) =>
        (await ask(there, '/readyz', undefined, text === undefined ? {} : { authorization: `Bearer ${text}` })).text
      await until(async () => !(await readyz()).includes('reasons'))
      for (const text of [undefined, read.text])
        expect(JSON.parse(await readyz(text))).toEqual({ ready: false, failing: ['views'], degraded: ['views'] })
      // the second key may be known a moment after the first
      await until(async () => (await readyz(admin.text)).includes('reasons'))
      expect(JSON.parse(await readyz(admin.text))).toMatchObject({ ready: false, reasons: body.reasons })
    } finally {
      await server.close()
      await db.close()
      await other.drop()
    }
  })

  it('reports that no worker is seen, until one is connected', async () => {
    const { url: there, server } = await world.serve({ workerGraceMs: 0 })
    await server.whenReady()
    const told = async () =>
      (await ask(there, '/readyz')).body.warnings?.some((warning) => warning.startsWith('No worker is connected')) ?? false
    await until(told)
    expect((await ask(there, '/readyz')).status).toBe(200)
    expect(world.logged.some((line) => line.includes('online views are not kept current'))).toBe(true)
    const worker = openPostgres(workerUrl(world.postgresUrl))
    await worker.ping()
    await until(async () => !(await told()))
    await worker.close()
    await server.close()
  })

  it('answers no state of a view without a checkpoint, even if the state exists', async () => {
    const { store } = world
    const checkpoint = await readCheckpoint(store, 'airport_delays@1')
    if (checkpoint === null) throw new Error('it was materialized')
    const asked = async () => (await ask(url, '/v1/features', { service: 'flight@1', entities: [{ airport: 'ATL', distance: 1 }] })).status
    expect(await asked()).toBe(200)
    await removeCheckpoint(store, 'airport_delays@1', checkpoint)
    await until(async () => (await asked()) === 503)
    expect(await writeCheckpoint(store, 'airport_delays@1', checkpoint, null)).toBe(true)
    expect(await asked()).toBe(200)
    await until(async () => (await about('airport_delays@1')).length === 0)
  })

  it('warns of a view from another definition, and of a store that was emptied', async () => {
    const { store } = world
    const checkpoint = await readCheckpoint(store, 'airport_delays@1')
    if (checkpoint === null) throw new Error('it was materialized')
    expect(await writeCheckpoint(store, 'airport_delays@1', { ...checkpoint, fingerprint: 'another' }, checkpoint)).toBe(true)
    await until(async () => (await about('airport_delays@1')).length === 1)
    expect((await about('airport_delays@1'))[0]).toContain('lockstep materialize airport_delays@1 --rebuild')
    await store.removeView('airport_delays@1')
    await until(async () => (await about('airport_delays@1')).some((warning) => warning.includes('not materialized')))
    await until(async () => (await gauge('airport_delays@1')) === '0')
    // one of several: the others are answered
    expect((await ask(url, '/readyz')).status).toBe(200)
    await store.removeView('airport_required@1')
    await until(async () => (await ask(url, '/readyz')).status === 503)
  })
})
