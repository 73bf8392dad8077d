import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readMarker, writeMarker } from '../../online/marker.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

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
      'The view "airport_required@1" is not materialized in this online store: run "lockstep materialize airport_required@1", or wait for a worker that does.',
    ])
    expect([await gauge('airport_required@1'), await gauge('airport_delays@1')]).toEqual(['0', '1'])
    expect(await about('airport_delays@1')).toEqual([])
    // it is not kept online
    expect(await about('airport_offline@1')).toEqual([])
    await world.materialize('airport_required')
    await until(async () => (await about('airport_required@1')).length === 0)
    expect(await gauge('airport_required@1')).toBe('1')
  })

  it('warns of a view that another definition made, and of a store that was emptied', async () => {
    const { store } = world
    const marker = await readMarker(store, 'airport_delays@1')
    if (marker === null) throw new Error('it was materialized')
    expect(await writeMarker(store, 'airport_delays@1', { ...marker, fingerprint: 'another' }, marker)).toBe(true)
    await until(async () => (await about('airport_delays@1')).length === 1)
    expect((await about('airport_delays@1'))[0]).toContain('lockstep materialize airport_delays@1 --rebuild')
    await store.removeView('airport_delays@1')
    await until(async () => (await about('airport_delays@1')).some((warning) => warning.includes('not materialized')))
    expect(await gauge('airport_delays@1')).toBe('0')
  })
})
