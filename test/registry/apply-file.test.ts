import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import type { TestRegistry } from './databases.ts'
import { openRegistry } from './databases.ts'
import { load, preamble } from './definition-files.ts'
import { flightsTable } from './sample-set.ts'

const definitions = `${preamble}
import { threshold } from './threshold.ts'
export const delays = featureView('airport_delays', {
  version: 1, entity: airport, source: landings, derive: { late: t.int32 },
  transform: (row) => ({ late: row.delay === null ? null : row.delay > threshold ? 1 : 0 }),
  features: { landed: count('1h'), lateShare: mean('late', '6h', { default: 0 }), lastDelay: last('delay', { ttl: '2d' }) },
})
export const context = onDemandView('flight_context', {
  version: 1, request: { distance: t.int32 }, inputs: { origin: delays }, features: { pressure: t.float64 },
  transform: ({ request, origin }) => ({ pressure: request.distance * origin.lateShare }),
})
export const flightFeatures = featureService('flight_features', { version: 1, features: [delays, context] })
export const delay = model('delay', { service: flightFeatures, output: { probability: t.float32 } })
`
const files = (text = definitions, threshold = '15'): Record<string, string> => ({
  'features.ts': text,
  'threshold.ts': `export const threshold = ${threshold}\nexport const unused = () => Date.now()\n`,
})

describe('a definitions file', () => {
  let registry: TestRegistry
  beforeAll(async () => {
    registry = await openRegistry('postgres')
  })
  beforeEach(async () => {
    await registry.reset()
    await registry.db.script(flightsTable)
  })
  afterAll(async () => {
    await registry?.close()
  })

  it('is applied, and its service computed from the registry only', async () => {
    const set = await load(files())
    await applyChanges(registry.db, set)
    const service = (await loadCatalog(registry.db)).service('flight_features')
    const plan = service.uses[0]?.plan
    if (plan === undefined) throw new Error('the service reads no view')
    const state = plan.newState()
    for (const [i, delayed] of [10, 20, 40].entries()) {
      const row = plan.fold(
        i,
        null,
        i,
        plan.columns.map((column) => (column.name === 'delay' ? delayed : 1)),
      )
      if (row !== null) state.add(row, 10)
    }
    const values = service.evaluate([state.valueAt(10)], [300], 10)
    expect(service.features.map((feature, i) => [feature.name, values.values[i]])).toEqual([
      ['landed', 3],
      ['lateShare', 2 / 3],
      ['lastDelay', 40],
      ['pressure', 200],
    ])
  })

  it('is unchanged by another folder, comments and code outside its transforms', async () => {
    await applyChanges(registry.db, await load(files()))
    const edited = definitions.replace('export const delays', '// at an airport\nconst other = 7\nexport const delays')
    const plan = await planChanges(registry.db, await load(files(edited), 'elsewhere'))
    expect(new Set(plan.changes.map((change) => change.status))).toEqual(new Set(['unchanged']))
    expect(plan.problems).toEqual([])
  })

  it('is refused if a helper of a transform changed under its version, else accepted', async () => {
    await applyChanges(registry.db, await load(files()))
    const refused = await applyChanges(registry.db, await load(files(definitions, '20'))).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(LockstepError)
    expect(refused).toMatchObject({
      code: 'VERSION_CHANGED',
      message: expect.stringMatching(/"airport_delays@1"[^]*transform was .*15.*, now .*20/) as string,
    })
    const applied = await applyChanges(registry.db, await load(files(definitions.replaceAll('version: 1', 'version: 2'), '20')))
    expect(applied.plan.changes.filter((change) => change.status === 'added').map((change) => change.label)).toEqual([
      'airport_delays@2',
      'flight_context@2',
      'flight_features@2',
    ])
    const catalog = await loadCatalog(registry.db)
    expect([...catalog.services.keys()]).toEqual(['flight_features@1', 'flight_features@2'])
  })

  it('identifies code by its identity, not its printed form', async () => {
    const set = await load(files())
    await applyChanges(registry.db, set)
    const view = set.views[0]
    if (view === undefined) throw new Error('the file has no view')
    // as an older bundler might have stored it: another print, another hash, other fingerprints all the way up
    const code = [...set.code].find(([hash]) => hash === view.spec.code)
    await registry.db.query(`insert into lockstep.code (hash, body) values ('older', $1)`, [`( ${code?.[1]} )`])
    await registry.db.query(`update lockstep.definitions set fingerprint = 'older ' || fingerprint where kind <> 'entity'`)
    await registry.db.query(`update lockstep.definitions set spec = replace(spec::text, $1, 'older')::json where name = 'airport_delays'`, [
      view.spec.code,
    ])
    const plan = await planChanges(registry.db, set)
    expect(plan.problems).toEqual([])
    expect(new Set(plan.changes.map((change) => change.status))).toEqual(new Set(['unchanged']))
  })
})
