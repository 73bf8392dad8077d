import { afterAll, beforeAll, expect, it } from 'vitest'
import { createClient } from '../../client/index.ts'
import { outcomeReport } from '../../monitoring/outcomes/outcome-report.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { servingSet } from '../serving/definitions.ts'
import type { World } from '../serving/world.ts'
import { createWorld, noon } from '../serving/world.ts'
import type * as definitions from './definitions.ts'
import { landedLate } from './definitions.ts'

let world: World

beforeAll(async () => {
  const declared = <Spec>(spec: Spec) => ({ spec, fingerprint: 'landed late', operational: {} })
  world = await createWorld('embedded', {
    ...servingSet,
    sources: [...servingSet.sources, declared(landedLate.source.spec)],
    outcomes: [declared({ ...landedLate.spec, code: null })],
  })
  for (const view of ['airport_delays', 'airport_typed', 'account_balance']) await world.materialize(view)
  await world.push('delay', 'logistic')
})
afterAll(() => world?.close())

it('outcomes that a client sends are matched with the predictions that a server has logged', async () => {
  const config = { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map<string, number>() } }
  const { server, url } = await world.serve({ config, closeMs: 60_000 })
  await server.whenReady()
  const client = createClient<typeof definitions>({ url })
  const entities = ['ATL', 'BOS', 'CDG'].map((airport) => ({ airport, distance: 1 }))
  const { predictionIds } = await client.predict('delay', entities)
  const [first = '', second = ''] = predictionIds
  const outcomes = [
    { predictionId: first, value: true, id: 'one' },
    { predictionId: second, value: false },
  ]
  expect(await client.outcome('landed_late', outcomes)).toMatchObject({ accepted: 2, duplicates: 0, logShare: 1 })
  expect(await client.outcome('landed_late', outcomes.slice(0, 1))).toMatchObject({ accepted: 0, duplicates: 1 })
  await server.close()
  const plan = (await loadCatalog(world.db)).outcome('landed_late')
  const day = 86_400_000_000
  const counts = async (asOf: number) => (await outcomeReport(world.db, plan, { from: noon - day, to: noon + day, asOf }, 1)).counts
  expect(await counts(noon + day)).toEqual({ predictions: 3, mature: 3, immature: 0, matched: 2, missing: 1, late: 0 })
  expect(await counts(noon + day - 1)).toEqual({ predictions: 3, mature: 0, immature: 3, matched: 0, missing: 0, late: 0 })
})
