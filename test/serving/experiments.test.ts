import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import { eraseEntity } from '../../materializer/erase/erase-entity.ts'
import { requireRun } from '../../monitoring/experiments/analyze-run.ts'
import { byteaArray, writeExposures } from '../../monitoring/exposures/write-exposures.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { deleteModelVersion } from '../../registry/models/delete-model-version.ts'
import { reallocate } from '../../registry/experiments/allocation.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { readLastRun } from '../../registry/experiments/experiment.ts'
import { pruneDefinitions } from '../../registry/changes/prune.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { unitPlace, variantAt } from '../../statistics/assign.ts'
import { prices, withExperiments } from './experiment-set.ts'
import { firstExposures } from './first-exposures.ts'
import { gated, until } from './gate.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

let world: World
let urls: string[]
const by = { actor: 'test' }
const apply = async (coverage: number, ...experiments: ExperimentSpec[]) =>
  await applyChanges(world.db, withExperiments(coverage, ...experiments))

beforeAll(async () => {
  world = await createWorld('embedded')
  await apply(0.5, prices)
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
  await world.push('delay', 'logistic', 'again')
  const options = {
    predictionLog: { flushMs: 50 },
    exposures: { flushMs: 50, writesPerCount: 2 },
    config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() }, logRetentionDays: 30 },
    clock: () => Date.now() * 1000,
  }
  const served = [await world.serve({ ...options, pollMs: 60_000 }), await world.serve({ ...options, pollMs: 60_000 })]
  for (const { server } of served) await server.whenReady()
  urls = served.map(({ url }) => url)
  await send('models/delay/promote', { version: 1 })
})
afterAll(() => world?.close())
afterEach(() => send('experiments/prices/stop'))

async function send(path: string, body: object = {}, method = 'POST'): Promise<{ status: number; body: Record<string, unknown> }> {
  const init = method === 'GET' ? { method } : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const response = await fetch(`${urls[0]}/v1/${path}`, init)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}
const start = async (name = 'prices') => {
  const started = await send(`experiments/${name}/start`, { reason: 'weather' })
  expect(started).toMatchObject({ status: 200, body: { inForce: true, experiment: { state: 'running' } } })
  return started.body as unknown as { readonly experiment: ExperimentRun; readonly notes: readonly string[] }
}

interface Served {
  readonly version: number
  readonly role: string
  readonly variant?: string
  readonly experiment?: string
  readonly rows: readonly number[]
}

const airports = Array.from({ length: 60 }, (_, i) => `A${i}`)
/** The routes of rows: `role version variant`. */
async function predict(url: string, rows: readonly string[] = airports): Promise<string[]> {
  const response = await fetch(`${url}/v1/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'delay', entities: rows.map((airport) => ({ airport, distance: 100 })) }),
  })
  const body = (await response.json()) as Omit<Served, 'rows'> & { readonly servedBy?: readonly Served[] }
  expect(response.status, JSON.stringify(body)).toBe(200)
  const groups = body.servedBy ?? [{ ...body, rows: rows.map((_, i) => i) }]
  const all: string[] = []
  for (const each of groups)
    for (const row of each.rows) all[row] = [each.role, each.version, each.variant].filter((x) => x !== undefined).join(' ')
  return all
}

/** By the documented formula alone. */
function expected({ salt }: ExperimentRun, coverage: number, rows = airports): string[] {
  return rows.map((unit) => {
    if (unitPlace('layer pricing', unit) >= 0.8 * coverage) return 'champion 1'
    return unitPlace(salt, unit) < 0.5 ? 'arm 1 control' : 'arm 2 treatment'
  })
}

/** The sums of its recorders: units, units that crossed over, lost exposures, and recorders that are not closed. */
async function readHealth(run: number): Promise<{ units: number; crossovers: number; lost: number; open: number }> {
  const all = await firstExposures(world.db, run)
  const [row] = await world.db.query<{ lost: number; open: number }>(
    `SELECT sum(lost)::int AS lost, (count(*) FILTER (WHERE closed_at IS NULL))::int AS open
     FROM lockstep.exposure_recorders WHERE experiment_id = $1`,
    [run],
  )
  return { units: all.length, crossovers: all.filter(({ crossedOver }) => crossedOver).length, lost: row?.lost ?? 0, open: row?.open ?? 0 }
}

/** By unit and variant, how many rows the log and the exposures have. */
async function counted(run: ExperimentRun): Promise<{ readonly logged: object[]; readonly exposed: object[] }> {
  const logged = await world.db.query(
    `SELECT keys->>'airport' AS unit, variant, count(*)::int AS rows FROM lockstep.prediction_log
     WHERE experiment = $1 AND at >= $2 GROUP BY 1, 2 ORDER BY (keys->>'airport') COLLATE "C", 2`,
    [run.name, run.startedAt],
  )
  const exposed = await world.db.query(
    `SELECT unit, variant, rows::int AS rows FROM lockstep.exposures WHERE experiment_id = $1 ORDER BY 1, 2`,
    [run.id],
  )
  return { logged, exposed }
}

describe('an experiment', () => {
  it('routes units on all servers by the documented hash, and records each of them once', async () => {
    const { experiment: run, notes } = await start()
    expect(notes).toEqual(['The variant "control" serves version 1 until the experiment ends, whatever "champion" points at meanwhile.'])
    const [here = '', there = ''] = urls
    const wanted = expected(run, 0.5)
    expect(new Set(wanted)).toEqual(new Set(['champion 1', 'arm 1 control', 'arm 2 treatment']))
    expect(await predict(here)).toEqual(wanted)
    await until(async () => (await predict(there)).includes('arm 2 treatment'))
    expect(await predict(there)).toEqual(wanted)
    expect(await predict(here, airports.slice(0, 7))).toEqual(wanted.slice(0, 7))
    await until(async () => {
      const { logged, exposed } = await counted(run)
      return logged.length === wanted.filter((each) => each.startsWith('arm')).length && JSON.stringify(logged) === JSON.stringify(exposed)
    })
    const exposures = await firstExposures(world.db, run.id)
    expect(exposures.map(({ unit }) => unit)).toEqual(airports.filter((_, i) => wanted[i]?.startsWith('arm')).sort())
    for (const { unit, variant, entity, propensity, crossedOver, predictionId } of exposures) {
      expect([unit, variant]).toEqual([unit, variantAt(run.slices, unitPlace(run.salt, unit))])
      expect({ entity, propensity, crossedOver }).toEqual({ entity: { airport: unit }, propensity: 0.5, crossedOver: false })
      expect(predictionId).toMatch(/\/\d+$/)
    }
    // each server has a recorder, which is open as long as the experiment runs
    await expect.poll(() => readHealth(run.id)).toEqual({ units: exposures.length, crossovers: 0, lost: 0, open: 2 })
    await expect(deleteModelVersion(world.db, 'delay', 2, by)).rejects.toMatchObject({ code: 'IN_USE' })

    // the champion moves, the control does not; what the experiment does not cover follows the champion
    await send('models/delay/promote', { version: 3 })
    expect(await predict(here)).toEqual(wanted.map((each) => each.replace('champion 1', 'champion 3')))
    await send('models/delay/pin', { version: 2 }, 'PUT')
    expect(new Set(await predict(here))).toEqual(new Set(['champion 2']))
    await send('models/delay/pin', {}, 'DELETE')
    await send('models/delay/promote', { version: 1 })
    // a rollout has the units that the experiment does not cover
    await send('models/delay/rollout', { version: 3, share: 1, unit: 'airport' })
    expect(await predict(here)).toEqual(wanted.map((each) => each.replace('champion 1', 'canary 3')))
    await send('models/delay/rollout/abort')

    expect(await send('experiments', {}, 'GET')).toMatchObject({
      status: 200,
      body: {
        experiments: [{ name: 'prices', state: 'running', coverage: 0.5, variants: [{ version: 1 }, { version: 2 }], primary: 'cost' }],
      },
    })
    await send('experiments/prices/stop', { reason: 'over' })
    expect(new Set(await predict(here))).toEqual(new Set(['champion 1']))
    const { records } = (await send('audit?what=experiment', {}, 'GET')).body as { records: object[] }
    expect(records).toMatchObject([
      { action: 'experiment.stop', subject: 'prices', before: { state: 'running' }, after: { state: 'stopped' }, reason: 'over' },
      { action: 'experiment.start', subject: 'prices', before: null, after: { salt: run.salt, versions: { control: 1, treatment: 2 } } },
    ])
  })

  it('keeps each unit where it is as its coverage grows, and refuses all other changes while it runs', async () => {
    const { experiment: run } = await start()
    const before = await predict(urls[0] ?? '')
    await apply(1, prices)
    await until(async () => JSON.stringify(await predict(urls[0] ?? '')) === JSON.stringify(expected(run, 1)))
    const after = await predict(urls[0] ?? '')
    expect(before.filter((each, i) => each.startsWith('arm') && each !== after[i])).toEqual([])

    await expect(apply(0.5, prices)).rejects.toMatchObject({
      code: 'IN_USE',
      message: expect.stringContaining('units in the experiment would leave') as string,
    })
    const changed = { ...prices, variants: prices.variants.map((each) => ({ ...each, weight: each.name === 'control' ? 0.9 : 0.1 })) }
    await expect(apply(1, changed)).rejects.toMatchObject({
      code: 'IN_USE',
      message: expect.stringContaining('its coverage may grow, and its description, owner and tags may change') as string,
    })
    const pruned = await pruneDefinitions(world.db, ['prices'], by, () => Promise.resolve())
    expect(pruned.kept).toMatchObject([{ name: 'prices', neededBy: ['its run, until you stop it: lockstep experiment stop prices'] }])
    await send('experiments/prices/stop')
    await apply(0.5, prices)
  })

  it('lets units that come again keep their variants while its shares follow the results', async () => {
    const spec: ExperimentSpec = {
      ...prices,
      name: 'followed',
      layer: null,
      allocation: { method: 'thompson', floor: 0.05, minUnits: 100 },
    }
    await apply(1, prices, spec)
    const { experiment: run } = await start('followed')
    // a server whose reading of kept units takes long
    const reading = Promise.withResolvers<undefined>()
    const database = async (): Promise<Database> => {
      const db = openPostgres(world.postgresUrl)
      const slow = async (sql: string) => (sql.includes('FROM moved') ? await reading.promise : undefined)
      return { ...db, query: async (sql, ...rest) => (await slow(sql), await db.query(sql, ...rest)) }
    }
    const late = await world.serve({ clock: () => Date.now() * 1000, pollMs: 60_000, database })
    await late.server.whenReady()
    try {
      const [here = '', there = ''] = urls
      const old = airports.slice(0, 40)
      const before = await predict(here, old)
      expect(new Set(before)).toEqual(new Set(['arm 1 control', 'arm 2 treatment']))
      await expect.poll(async () => (await firstExposures(world.db, run.id)).length).toBe(old.length)

      expect(await reallocate(world.db, run, 1, [0.1, 0.9], {})).toBe(true)
      const moved = old.filter((unit, i) => before[i] !== (unitPlace(run.salt, unit) < 0.1 ? 'arm 1 control' : 'arm 2 treatment'))
      expect(moved.length).toBeGreaterThan(5)
      const changed = (await requireRun(world.db, 'followed')).slices
      const wanted = airports.map(
        (unit, i) => before[i] ?? (variantAt(changed, unitPlace(run.salt, unit)) === 'control' ? 'arm 1 control' : 'arm 2 treatment'),
      )
      // units of which each comes once, and whose place has changed its variant
      const place = (unit: string): number => unitPlace(run.salt, unit)
      const probes = Array.from({ length: 2000 }, (_, i) => `P${i}`).filter((unit) => place(unit) >= 0.1 && place(unit) < 0.5)
      for (const url of [here, there]) {
        await expect.poll(() => predict(url, [probes.pop() ?? ''])).toEqual(['arm 2 treatment'])
        expect(await predict(url)).toEqual(wanted)
      }
      // it keeps the former shares meanwhile, and other changes reach it
      await send('models/delay/aliases/spare', { version: 2 }, 'PUT')
      const aliases = async () => ((await (await fetch(`${late.url}/v1/models/delay`)).json()) as { readonly aliases: object }).aliases
      await expect.poll(aliases).toHaveProperty('spare', 2)
      expect(await predict(late.url, probes.splice(-20))).toEqual(Array.from({ length: 20 }, () => 'arm 1 control'))
      reading.resolve(undefined)
      await expect.poll(() => predict(late.url, [probes.pop() ?? ''])).toEqual(['arm 2 treatment'])
      expect(await predict(late.url)).toEqual(wanted)
      const added = await world.serve({ clock: () => Date.now() * 1000 })
      await added.server.whenReady()
      expect(await predict(added.url)).toEqual(wanted)
      await added.server.close()
      await expect
        .poll(async () => (await firstExposures(world.db, run.id)).filter(({ unit }) => unit.startsWith('A')).length)
        .toBe(airports.length)
      expect(await readHealth(run.id)).toMatchObject({ crossovers: 0 })
      // the share that a unit had when it came
      const shares = new Map((await firstExposures(world.db, run.id)).map(({ unit, variant, propensity }) => [unit, [variant, propensity]]))
      expect(old.filter((unit) => shares.get(unit)?.[1] !== 0.5)).toEqual([])
      expect(
        airports.slice(40).filter((unit) => ![0.1, 0.9].some((share) => Math.abs(Number(shares.get(unit)?.[1]) - share) < 1e-9)),
      ).toEqual([])
    } finally {
      reading.resolve(undefined)
      await late.server.close()
      await send('experiments/followed/stop')
      await apply(0.5, prices)
    }
  })

  it.each([
    ['is unknown', 'rates', prices, 'UNKNOWN_DEFINITION', 'There is no experiment "rates"'],
    [
      'overlaps on its layer',
      'b',
      { ...prices, name: 'b', layer: { name: 'pricing', from: 0.5, to: 1 } },
      'IN_USE',
      'overlaps with that of "prices", 0 to 0.8. Free: 0.8 to 1.',
    ],
    [
      'shares a model without a layer',
      'b',
      { ...prices, name: 'b', layer: null },
      'IN_USE',
      'a request gets one version only. Stop it, or give both',
    ],
    [
      'has another unit on its layer',
      'b',
      { ...prices, name: 'b', unit: 'distance', layer: { name: 'pricing', from: 0.8, to: 1 } },
      'IN_USE',
      'has the unit "airport" on the layer',
    ],
  ] as const)('does not start if it %s', async (_, name, spec, code, message) => {
    await start()
    await apply(0.5, prices, spec)
    const { body } = await send(`experiments/${name}/start`)
    expect(body).toMatchObject({ error: { code, message: expect.stringContaining(message) as string } })
  })

  it.each([
    [
      'a version that exists',
      {
        variants: [
          { name: 'control', serves: 'champion', weight: 0.5 },
          { name: 'b', serves: 9, weight: 0.5 },
        ],
      },
      'has no version 9; it has 1, 2, 3',
    ],
    [
      'an alias that exists',
      {
        variants: [
          { name: 'control', serves: 'champion', weight: 0.5 },
          { name: 'b', serves: 'best', weight: 0.5 },
        ],
      },
      'has no alias "best"',
    ],
    ['a field that requests have', { unit: 'gate', layer: null }, 'needs the field "gate", which requests for "flight@1" lack'],
    ['a version that answers', { model: 'strict', layer: null }, 'has no version yet; push one'],
  ])('needs %s to start', async (_, change, message) => {
    await apply(1, prices, { ...prices, ...change, name: 'wrong' })
    const { body } = await send('experiments/wrong/start')
    expect(body).toMatchObject({ error: { message: expect.stringContaining(message) as string } })
    expect(await readLastRun(world.db.kysely, 'wrong')).toBeNull()
    await apply(0.5, prices)
  })

  it('does not stop if it does not run, and says so', async () => {
    const { body } = await send('experiments/prices/stop')
    expect(body).toMatchObject({
      error: { code: 'UNKNOWN_DEFINITION', message: expect.stringContaining('does not run: it is stopped') as string },
    })
  })
})

describe('exposures', () => {
  it('are kept while PostgreSQL is down, and all written after it is back or at shutdown', async () => {
    const { experiment: run } = await start()
    const gate = await gated(world.postgresUrl)
    const { server, url } = await world.serve({
      database: async () => openPostgres(gate.through(world.postgresUrl)),
      exposures: { flushMs: 20, writesPerCount: 2 },
      onUnavailable: 'error',
      closeMs: 60_000,
    })
    await server.whenReady()
    const wanted = expected(run, 0.5)
    expect(await predict(url, airports.slice(0, 20))).toEqual(wanted.slice(0, 20))
    await gate.shut()
    for (let i = 0; i < 20; i++) await predict(url, airports.slice(20))
    await gate.open()
    const armed = wanted.filter((each) => each.startsWith('arm')).length
    await until(async () => (await firstExposures(world.db, run.id)).length === armed)
    // rows of known units wait longer: the shutdown writes them
    await predict(url, airports.slice(20))
    await server.close()
    await gate.shut()
    const rows = await world.db.query<{ rows: number }>('SELECT sum(rows)::int AS rows FROM lockstep.exposures WHERE experiment_id = $1', [
      run.id,
    ])
    const late = wanted.slice(20).filter((each) => each.startsWith('arm')).length
    expect(rows).toEqual([{ rows: armed - late + late * 21 }])
    expect(await readHealth(run.id)).toEqual({ units: armed, crossovers: 0, lost: 0, open: 0 })
  })

  it('beyond the queue are counted as lost', async () => {
    const { experiment: run } = await start()
    const { server, url, registry } = await world.serve({ exposures: { flushMs: 60_000, maxWaiting: 5 }, closeMs: 60_000 })
    await server.whenReady()
    const armed = (await predict(url)).filter((each) => each.startsWith('arm')).length
    expect(await registry.getSingleMetricAsString('lockstep_exposures_lost_total')).toContain(`{reason="full"} ${armed - 5}`)
    await server.close()
    expect(await readHealth(run.id)).toEqual({ units: 5, crossovers: 0, lost: armed - 5, open: 0 })
  })

  it('of a batch that is sent twice count once, and the earliest exposure of a unit stays', async () => {
    const { experiment: run } = await start()
    const first = { propensity: 0.5, entity: '{"airport":"X"}', entities: [Buffer.from('airport\0X')], predictionId: 'p/0' }
    const unit = { unit: 'X', variant: 'control', at: 2_000_000, lastAt: 3_000_000, rows: 4, first }
    const batch = { run: run.id, recorder: '00000000-0000-4000-8000-000000000001', number: 1, lost: 0, units: [unit] }
    await writeExposures(world.db, batch)
    await writeExposures(world.db, batch)
    expect(await firstExposures(world.db, run.id)).toMatchObject([
      { unit: 'X', rows: 4, at: 2_000_000, lastAt: 3_000_000, predictionId: 'p/0' },
    ])
    const other = { ...batch, recorder: '00000000-0000-4000-8000-000000000002' }
    const earlier = { ...unit, at: 1_000_000, lastAt: 1_000_000, rows: 1, first: { ...first, predictionId: 'p/1' } }
    const crossed = { ...unit, variant: 'treatment', at: 9_000_000, lastAt: 9_000_000 }
    await writeExposures(world.db, { ...other, units: [earlier, crossed] })
    expect(await firstExposures(world.db, run.id)).toMatchObject([
      { variant: 'control', rows: 5, at: 1_000_000, lastAt: 3_000_000, predictionId: 'p/1', crossedOver: true },
    ])
    // neither recorder was closed
    expect(await readHealth(run.id)).toEqual({ units: 1, crossovers: 1, lost: 0, open: 2 })
    expect(byteaArray([Buffer.from([0, 255]), Buffer.from('a')])).toBe(String.raw`{"\\x00ff","\\x61"}`)
  })

  it('of a person are erased', async () => {
    const { experiment: run } = await start()
    const armed = expected(run, 0.5).flatMap((each, i) => (each.startsWith('arm') ? [airports[i] ?? ''] : []))
    await predict(urls[0] ?? '')
    await until(async () => (await firstExposures(world.db, run.id)).length === armed.length)
    const [erased = '', ...others] = armed.sort()
    const catalog = await loadCatalog(world.db)
    const receipt = await eraseEntity(world.db, catalog, catalog.entities.get('airport') as never, [erased], new Date())
    expect(JSON.stringify(receipt)).toContain('lockstep.exposures')
    expect((await firstExposures(world.db, run.id)).map(({ unit }) => unit)).toEqual(others)
  })
})
