import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import type { EntitySpec, SourceSpec } from '../../../kernel/specs/view-spec.ts'
import { eraseEntity } from '../../../materializer/erase/erase-entity.ts'
import { finishErasures } from '../../../materializer/erase/finish-erasures.ts'
import { parity } from '../../../monitoring/alerts/checks/parity.ts'
import type { ParityReport } from '../../../monitoring/parity/check-parity.ts'
import { checkParity } from '../../../monitoring/parity/check-parity.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { DefinitionSet } from '../../../registry/load/definition-set.ts'
import { declared, hour, servingSet } from '../../serving/definitions.ts'
import { until } from '../../serving/gate.ts'
import type { World } from '../../serving/world.ts'
import { ask, createWorld, noon } from '../../serving/world.ts'
import { clockMonitor } from '../alerts/monitors.ts'

const plane: EntitySpec = { name: 'plane', key: [{ name: 'plane', type: { kind: 'string' } }] }
const shared = (source: SourceSpec): SourceSpec =>
  source.name === 'landings' ? { ...source, key: [...source.key, { part: 'plane', column: 'plane' }] } : source
const views = servingSet.views.map(({ spec, operational }) => ({ ...declared({ ...spec, source: shared(spec.source) }), operational }))
const ofPlane = views.slice(0, 1).map(({ spec, operational }) => ({ ...declared({ ...spec, name: 'planes', entity: plane }), operational }))
/** A landing is a row of an airport and of a plane. */
const set: DefinitionSet = {
  ...servingSet,
  entities: [...servingSet.entities, declared(plane)],
  sources: servingSet.sources.map(({ spec, operational }) => ({ ...declared(shared(spec)), operational })),
  views: [...views, ...ofPlane],
}

const minute = hour / 60
const target = { kind: 'model', model: 'echo' } as const
let world: World

beforeAll(async () => {
  world = await createWorld('redis', set)
  await world.push('echo', 'identity')
  await land('ATL', 'p1', noon - 10 * minute, 7)
  await land('ATL', 'p2', noon - 20 * minute, 8)
  await land('JFK', 'p2', noon - 10 * minute, 9)
  await world.materialize('airport_delays')
  const { url, server } = await world.serve({ config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() } } })
  await server.whenReady()
  const entities = ['ATL', 'JFK'].map((airport) => ({ airport, distance: 2 }))
  await ask(url, '/v1/predict', { model: 'echo', entities })
  await until(async () => (await world.db.query('select from lockstep.prediction_log')).length === 2)
  await server.close()
})
afterAll(() => world?.close())

async function land(airport: string, of: string, at: number, delay: number): Promise<void> {
  await world.db.query('insert into lockstep_source.landings (airport, plane, at, delay) values ($1, $2, $3, $4::float8)', [
    airport,
    of,
    formatTimestamp(at),
    delay,
  ])
}

async function check(): Promise<ParityReport> {
  return await checkParity(world.db, await loadCatalog(world.db), { since: noon - hour, until: noon + hour, limit: 100, order: 'newest' })
}

async function evaluate() {
  const context = { db: world.db, store: null, catalog: await loadCatalog(world.db), monitor: { ...clockMonitor('inputs'), target } }
  // rows wait for 5 minutes before they are checked
  const window = { from: noon - hour, to: noon + hour }
  const shared = { rollups: new Map(), driftReports: new Map() }
  const rest = { window, clock: () => noon, memoryOf: () => undefined, shared, signal: new AbortController().signal }
  const [result] = await parity({ ...context, ...rest }, { kind: 'parity', budget: 0, vectors: 100 })
  return result
}

describe('a parity check after an erasure', () => {
  it('compares no values of other entities that counted the erased rows', async () => {
    expect((await check()).features.map(({ equal, erased }) => [equal, erased])).toEqual([
      [2, 0],
      [2, 0],
      [2, 0],
    ])
    await eraseEntity(world.db, await loadCatalog(world.db), plane, ['p1'], new Date())
    const none = { tie: 0, ttl: 0, stale: 0, late: 0, other: 0 }
    const expected = ['lastDelay', 'landed1h', 'pressure'].map((feature) =>
      expect.objectContaining({ ...none, feature, equal: 1, erased: 1 }),
    )
    const unfinished = await check()
    expect([unfinished.features, unfinished.examples]).toEqual([expected, []])
    await finishErasures(world.db, world.store, await loadCatalog(world.db), { waitMs: 60_000, moment: noon })
    const finished = await check()
    expect([finished.features, finished.examples]).toEqual([expected, []])
    expect(await evaluate()).toMatchObject({ state: 'ok', value: 0, n: 3, evidence: { counts: { equal: 3, erased: 3 } } })
  })

  it('still finds late rows, and every difference of what was served after it', async () => {
    await land('JFK', 'p3', noon - 5 * minute, 3)
    const [lastDelay] = (await check()).features
    expect(lastDelay).toMatchObject({ equal: 0, late: 1, erased: 1 })
    await world.db.query(`update lockstep.erasures set finished_at = '2001-07-01T11:58:00Z'`)
    const later = (await check()).features[0]
    expect(later).toMatchObject({ equal: 0, late: 1, erased: 0, other: 1 })
    expect(await evaluate()).toMatchObject({ state: 'breach', evidence: { counts: { erased: 0 } } })
  })
})
