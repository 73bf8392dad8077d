import { afterAll, beforeAll, expect, it } from 'vitest'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { checkParity } from '../../monitoring/parity/check-parity.ts'
import { about, readinessOf } from '../../serving/lifecycle/readiness.ts'
import { hash, hour, servingSet } from './definitions.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

const minute = hour / 60
const views = servingSet.views.map((view) => {
  if (view.spec.name !== 'airport_delays') return view
  const spec = { ...view.spec, availability: { kind: 'schedule', schedule: '0 * * * *', delayMicros: 10 * minute } } as const
  return { ...view, spec, fingerprint: hash(JSON.stringify(spec)) }
})

let world: World
beforeAll(async () => {
  world = await createWorld('embedded', { ...servingSet, views })
  await world.push('echo', 'identity')
})
afterAll(() => world?.close())

it('answers and /readyz name a view without its run, from instant + delay on', async () => {
  const land = (at: number) =>
    world.db.query('insert into lockstep_source.landings (airport, at, delay, amount) values ($1, $2, 7, 7)', ['LHR', formatTimestamp(at)])
  await land(noon - 30 * minute)
  await world.materialize('airport_delays', noon)
  await land(noon + 30 * minute)
  let now = noon
  const { server, url } = await world.serve({
    clock: () => now,
    config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() } },
  })
  await server.whenReady()
  const entity = { airport: 'LHR', distance: 1 }
  const landed = async (more: object = {}): Promise<[unknown, readonly string[]]> => {
    const { body } = await ask(url, '/v1/features', { service: 'flight', entities: [entity], ...more })
    return [body.results[0]?.features['landed1h'], body.late ?? []]
  }
  const late = ['airport_delays@1']
  expect(await landed()).toEqual([0, []])
  expect(await landed({ asOf: formatTimestamp(noon + 10 * minute) })).toEqual([1, []])
  now = noon + 70 * minute - 1
  expect(await landed()).toEqual([0, []])
  now++
  expect(await landed()).toEqual([0, late])
  expect(await landed({ asOf: formatTimestamp(now - 1) })).toEqual([0, []])
  const { body, status } = await ask(url, '/v1/predict', { model: 'echo', entities: [entity] })
  expect([status, body.late]).toEqual([200, late])
  const feast = await ask(url, '/get-online-features', {
    features: ['airport_delays:landed1h'],
    entities: { airport: ['LHR'] },
  })
  expect(feast.headers.get('lockstep-late')).toBe(late[0])
  await until(async () =>
    ((await ask(url, '/readyz')).body.warnings ?? []).some((warning) => warning.includes('is late: its scheduled run')),
  )
  expect((await ask(url, '/metrics')).text).toContain('lockstep_late_requests_total{view="airport_delays@1"} 3')

  await until(async () => (await world.db.query('select from lockstep.prediction_log')).length === 1)
  const options = { since: noon, until: now + hour, limit: 10, order: 'newest', graceMicros: hour } as const
  const { features } = await checkParity(world.db, await loadCatalog(world.db), options)
  expect(features.find(({ feature }) => feature === 'landed1h')).toMatchObject({ equal: 0, stale: 1 })

  await world.materialize('airport_delays', now)
  await until(async () => (await landed())[1].length === 0)
  expect(await landed()).toEqual([1, []])
})

it('readiness reports a problem of two parts once, and names both', () => {
  const late = ['The view "airport_delays@1" is late.']
  const { warnings, degraded } = readinessOf([], [...about('views', late), ...about('workers', late)])
  expect([warnings, degraded]).toEqual([late, ['views', 'workers']])
})
