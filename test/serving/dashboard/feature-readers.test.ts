import { afterAll, beforeAll, expect, it } from 'vitest'
import type { FeatureData } from '../../../serving/dashboard/contract/feature.ts'
import type { QualityData } from '../../../serving/dashboard/contract/model.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'
import { createVisitor } from './visitor.ts'

let world: World
let dataOf: (path: string) => Promise<unknown>

beforeAll(async () => {
  world = await createWorld('embedded')
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await world.push('delay', 'logistic')
  const { server, url } = await world.serve()
  await server.whenReady()
  const visitor = createVisitor(url)
  await visitor.login(world.db)
  dataOf = async (path) => (await visitor.ask(`/ui/api${path}`)).body.data
})
afterAll(() => world?.close())

const feature = async (id: string, query = '') => (await dataOf(`/features/${id}/stats${query}`)) as FeatureData

it('a feature names the services and models that read it, and none that reads others of its view', async () => {
  const readersOf = async (id: string) => (await feature(id)).readers.map(({ link, about }) => `${link.kind} ${link.id}: ${about}`)
  const pressure = await readersOf('flight_context@1.pressure')
  expect(pressure).toEqual(expect.arrayContaining(['service flight@1: feature service', 'model delay: model, as pressure']))
  expect(pressure.join()).not.toContain('moment@1')
  const micros = await readersOf('flight_context@1.micros')
  expect(micros).toContain('service moment@1: feature service')
  expect(micros.join()).not.toMatch(/flight@1|model delay/)
})

it('a view links its entity, around which all views of the entity are', async () => {
  const { facts } = await feature('airport_delays@1.lastDelay')
  expect(facts).toContainEqual({ name: 'Entity', value: 'airport', link: { kind: 'entity', id: 'airport' } })
})

it('a column that drifted says since which day its checks have found it so', async () => {
  const column = (name: string, drifted: boolean) => ({
    column: name,
    drifted,
    distances: null,
    untested: null,
    harm: 1,
    causes: [],
    bins: [],
    outOfRange: null,
    missing: { baseline: 0, window: 0, reasons: [] },
  })
  const check = (day: number, hour: number, pressure: boolean, lastDelay = true) => ({
    asOf: `2001-06-${day}T${hour}:00:00Z`,
    report: {
      model: 'delay',
      version: 1,
      rows: 1200,
      alpha: 0.01,
      minPsi: 0.1,
      baseline: { origins: [] },
      window: { from: `2001-06-${day - 1}T${hour}:00:00Z`, to: `2001-06-${day}T${hour}:00:00Z` },
      columns: [column('pressure', pressure), column('lastDelay', lastDelay), column('landed1h', false)],
    },
  })
  const checks = [
    check(26, 23, true),
    check(27, 22, true),
    check(27, 23, false),
    check(28, 22, false),
    check(28, 23, true),
    check(29, 10, true),
  ]
  for (const { asOf, report } of checks)
    await world.db.query(`insert into lockstep.model_figures (model, kind, version, as_of, report) values ('delay', 'drift', 1, $1, $2)`, [
      asOf,
      JSON.stringify(report),
    ])
  const { drift, driftRule } = (await dataOf('/models/delay/quality')) as QualityData
  expect(drift.map(({ feature: name, since }) => [name, since])).toEqual([
    ['pressure', 'since 2001-06-28'],
    ['lastDelay', 'since 2001-06-26 or earlier'],
    ['landed1h', null],
  ])
  expect(driftRule).toMatch(/^Of 1,200 rows that version 1 answered from 2001-06-28 10:00 UTC to 2001-06-29 10:00 UTC\. /)
  expect((await feature('flight_context@1.pressure', '?asOf=2001-06-30T00:00:00Z')).drift).toMatchObject([
    { model: 'delay', since: 'since 2001-06-28' },
  ])
  // as of the day on which it had not drifted
  expect((await feature('flight_context@1.pressure', '?asOf=2001-06-27T23:30:00Z')).drift).toMatchObject([{ since: null }])
})
