import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { withinCap } from '../../kernel/states/over-cap.ts'
import { stateHead, readHeader } from '../../kernel/states/stored-state.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { servingSet } from './definitions.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

let world: World
beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_delays')
})
afterAll(() => world?.close())

it('answers an entity over its cap with online-only rows too', async () => {
  const { server, url } = await world.serve()
  await server.whenReady()
  const event = { airport: 'CAP', at: '2001-07-01T11:30:00Z', delay: 3, amount: null, count: null, city: null, open: null, vec: null }
  expect((await ask(url, '/v1/sources/landings/events', { events: [event], to: 'online' })).status).toBe(200)
  const plan = (await loadCatalog(world.db)).view('airport_delays')
  const key = { view: plan.id, entity: plan.spec.entity.name, key: encodeKey(plan.key, ['CAP']) ?? '' }
  const [state] = await world.store.read([key])
  const capped = { ...plan, upkeep: { ...plan.upkeep, maxStateBytes: 1 } }
  const present = state ?? Buffer.alloc(0)
  const entry = { ...key, expected: stateHead(present, readHeader(present, plan.id)), bytes: withinCap(capped, present, noon).stored }
  expect(await world.store.write([entry])).toEqual([true])
  const { body } = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'CAP', distance: 1 }] })
  expect(body.results[0]?.features).toMatchObject({ lastDelay: 3, landed1h: 1 })
  const { text } = await ask(url, '/metrics')
  expect(text).toMatch(/lockstep_history_answers_total\{service="flight@1"\} 1\b/)
})

it('counts and logs an entity that an event has brought over its cap', async () => {
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) })
  const views = servingSet.views.map((view) => ({ ...view, operational: { ...view.operational, maxStateBytes: 1 } }))
  await applyChanges(world.db, { ...servingSet, views })
  const { server, url } = await world.serve({ log })
  await server.whenReady()
  const event = { airport: 'BIG', at: '2001-07-01T11:30:00Z', delay: 3, amount: null, count: null, city: null, open: null, vec: null }
  expect((await ask(url, '/v1/sources/landings/events', { events: [event] })).status).toBe(200)
  expect((await ask(url, '/metrics')).text).toContain('lockstep_states_over_cap_total{view="airport_delays@1"} 1')
  expect(lines.filter((line) => line.includes('STATE_TOO_LARGE'))).toEqual([expect.stringContaining('BIG')])
})
