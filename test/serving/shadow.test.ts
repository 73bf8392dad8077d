import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { listPredictions } from '../../monitoring/prediction-log/read-predictions.ts'
import { shadowReport } from '../../monitoring/shadow/shadow-report.ts'
import type { ShadowReport } from '../../monitoring/shadow/shadow-report.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { deleteModelVersion } from '../../registry/models/delete-model-version.ts'
import { unitPlace } from '../../statistics/assign.ts'
import { endlessModel } from '../inference/made-models.ts'
import { hash, servingSet, withRunTimeout } from './definitions.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

type Served = Awaited<ReturnType<World['serve']>>

let world: World
let first: Served
let second: Served
let busy = false
let options: Parameters<World['serve']>[0]
const models = ['delay', 'echo', 'measured', 'failing']

/** The transform of `flight_context@2` throws for the distance 13. */
const throwingCode =
  '({ request, origin }) => { if (request.distance === 13) throw new Error("unlucky"); return { pressure: origin.lastDelay === null ? null : origin.lastDelay / request.distance, micros: null } }'

/**
 * "delay" as it is, with answers in a cache, or pushed for `flight@2`; and "measured", of which one test alone asks.
 */
function definitions(service: 'flight@1' | 'flight@2'): DefinitionSet {
  const declared = <Spec extends object>(spec: Spec) => ({ spec, fingerprint: hash(JSON.stringify(spec)), operational: {} })
  const [context] = servingSet.onDemand
  const flight = servingSet.services.find(({ spec }) => spec.name === 'flight')
  const [view] = flight?.spec.members ?? []
  if (context === undefined || flight === undefined || view === undefined) throw new Error('the serving set has no flight')
  const members = [view, { kind: 'onDemand', view: 'flight_context@2', features: ['pressure'] }] as const
  return {
    ...servingSet,
    onDemand: [...servingSet.onDemand, declared({ ...context.spec, version: 2, code: hash(throwingCode) })],
    services: [...servingSet.services, declared({ ...flight.spec, version: 2, members })],
    models: withRunTimeout(servingSet, 3_000_000).models.flatMap((model) =>
      model.spec.name === 'delay'
        ? [
            {
              ...declared({ ...model.spec, service }),
              operational: { threshold: 0.5, cache: { maxEntries: 1000, ttlMicros: 60_000_000 } },
            },
            declared({ ...model.spec, name: 'measured', service }),
            declared({ ...model.spec, name: 'failing', service }),
          ]
        : [model],
    ),
    code: new Map([...servingSet.code, [hash(throwingCode), throwingCode]]),
  }
}

beforeAll(async () => {
  world = await createWorld('redis', definitions('flight@1'))
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 0.5)`)
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
  await world.push('echo', 'identity')
  await world.push('echo', endlessModel())
  await world.push('measured', 'logistic')
  await world.push('failing', 'logistic')
  await applyChanges(world.db, definitions('flight@2'))
  await world.push('delay', 'mlp', 'other')
  await world.push('measured', 'mlp')
  await world.push('failing', 'mlp')
  options = {
    clock: () => Date.now() * 1000,
    defaultAsOf: noon,
    // a server that hears of a change within a test has been notified
    pollMs: 3_600_000,
    predictionLog: { flushMs: 20 },
    config: {
      bodyLimitBytes: 100_000,
      logShares: { share: 1, models: new Map() },
      logRetentionDays: 30,
      rollups: { rowsPerSecond: 100 },
    },
  }
  first = await world.serve({ ...options, shadows: { isBusy: () => busy, timeShare: 1 } })
  second = await world.serve({ ...options, shadows: { isBusy: () => false, maxRows: 3, timeShare: 1 } })
  for (const { server } of [first, second]) await server.whenReady()
  for (const model of models) await send('POST', model, 'promote', { version: 1 })
})
afterAll(() => world?.close())
afterEach(async () => {
  busy = false
  for (const model of models) await send('POST', model, 'shadow/stop')
})

async function send(method: string, model: string, path: string, body?: unknown) {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const response = await fetch(`${first.url}/v1/models/${model}/${path}`, init)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const entities = Array.from({ length: 40 }, (_, i) => ({ airport: 'ATL', distance: i + 1 }))
const predict = (of = first, model = 'delay', rows: readonly object[] = entities) =>
  ask(of.url, '/v1/predict', { model, entities: rows, include: ['features'] })
const start = async (version: number, body: object = {}, model = 'delay') => {
  const started = await send('POST', model, 'shadow', { version, share: 1, unit: 'distance', ...body })
  expect(started).toMatchObject({ status: 200, body: { inForce: true } })
  return started.body['shadow'] as { readonly salt: string }
}
/** Rows by result. */
const rowsOf = async (of: Served, version: number, model = 'delay'): Promise<Record<string, number>> => {
  const metric = await of.registry.getSingleMetric('lockstep_shadow_rows_total')?.get()
  const own = metric?.values.filter(({ labels }) => labels['model'] === model && Number(labels['version']) === version) ?? []
  return Object.fromEntries(own.map(({ labels, value }) => [labels['result'], value]))
}
const totalOf = async (of: Served, version: number, model?: string): Promise<number> =>
  Object.values(await rowsOf(of, version, model)).reduce((sum, rows) => sum + rows, 0)
const resultOf = ({ body: { predictions, features, version } }: Awaited<ReturnType<typeof predict>>) => ({ predictions, features, version })

describe('a shadow', () => {
  it('runs its share of the rows after the answer, and is compared with it', async () => {
    const before = resultOf(await predict())
    const { salt } = await start(2, { share: 0.5, reason: 'trial' })
    const answer = await predict()
    expect(answer.status).toBe(200)
    expect(resultOf(answer)).toEqual(before)
    expect(answer.body).not.toHaveProperty('servedBy')
    const expected = entities.flatMap(({ distance }, row) => (unitPlace(salt, String(distance)) < 0.5 ? [row] : []))
    await until(async () => (await rowsOf(first, 2))['answered'] === expected.length)
    const logged = async () => await listPredictions(world.db, { since: 0, requestId: answer.body.requestId, limit: 100 })
    await until(async () => (await logged()).length === entities.length + expected.length)
    const shadowed = (await logged()).filter(({ role }) => role === 'shadow')
    expect(shadowed.map(({ entity }) => entity).toSorted((a, b) => a - b)).toEqual(expected)
    expect(new Set(shadowed.map(({ asOf, version, service }) => `${asOf} ${version} ${service}`))).toEqual(
      new Set([`${answer.body.asOf} 2 flight@1`]),
    )
    // what it answers is what the version answers, and not the champion
    const alone = await ask(first.url, '/v1/predict', { model: 'delay', version: 2, entities })
    for (const { entity, outputs } of shadowed) expect(outputs).toEqual(alone.body.predictions[entity])

    const { body } = await send('GET', 'delay', 'shadow')
    const { comparison } = body as unknown as ShadowReport
    expect(comparison).toMatchObject({ logged: expected.length, pairs: expected.length, entities: 1, output: 'probabilities' })
    const differences = expected.map((row) =>
      Math.abs(Number(alone.body.predictions[row]?.['probabilities']) - Number(answer.body.predictions[row]?.['probabilities'])),
    )
    const flips = expected.filter(
      (row) =>
        Number(alone.body.predictions[row]?.['probabilities']) >= 0.5 !== Number(answer.body.predictions[row]?.['probabilities']) >= 0.5,
    )
    const [output] = comparison?.outputs ?? []
    expect(output?.quantiles[0]?.value).toBeCloseTo(differences.toSorted((a, b) => a - b)[Math.ceil(expected.length / 2) - 1] as number, 6)
    expect(output?.beyond.value).toBeCloseTo(differences.filter((each) => each > 0.01).length / expected.length, 9)
    expect(output?.flips?.value).toBeCloseTo(flips.length / expected.length, 9)
    expect(comparison?.features[0]?.feature).toBe('pressure')
    const [example] = comparison?.examples ?? []
    expect(Math.abs(example?.difference ?? 0)).toBeCloseTo(Math.max(...differences), 6)
    const opened = await listPredictions(world.db, { since: 0, predictionId: example?.predictionId ?? '', limit: 2 })
    expect(opened).toMatchObject([{ role: 'shadow', version: 2, model: 'delay' }])
    expect((await ask(first.url, '/v1/models/delay')).body).toMatchObject({ version: 1, shadow: { version: 2, share: 0.5 } })
    await expect(deleteModelVersion(world.db, 'delay', 2, { actor: 'test' })).rejects.toMatchObject({ code: 'IN_USE' })

    await send('POST', 'delay', 'shadow/stop', { reason: 'over' })
    expect((await ask(first.url, '/v1/audit?what=shadow')).body).toMatchObject({
      records: [
        { action: 'shadow.stop', subject: 'delay@2', before: { version: 2, share: 0.5, salt, tolerance: 0.01 }, reason: 'over' },
        { action: 'shadow.start', subject: 'delay@2', after: { version: 2, share: 0.5, salt, tolerance: 0.01 }, reason: 'trial' },
      ],
    })
    expect((await send('GET', 'delay', 'shadow')).body).toMatchObject({
      shadow: { state: 'stopped' },
      comparison: { pairs: expected.length },
    })
  })

  it('neither fills nor uses the prediction cache', async () => {
    const lookUps = async (version: number) => {
      const metric = await first.registry.getSingleMetric('lockstep_model_cache_rows_total')?.get()
      const own = metric?.values.filter(({ labels }) => Number(labels['version']) === version && labels['model'] === 'delay') ?? []
      return Object.fromEntries(own.map(({ labels, value }) => [labels['result'], value]))
    }
    const rows = [{ airport: 'ATL', distance: 777 }]
    await start(2)
    const [before, done] = [await lookUps(2), (await rowsOf(first, 2))['answered'] ?? 0]
    for (let i = 0; i < 3; i++) await predict(first, 'delay', rows)
    await until(async () => ((await rowsOf(first, 2))['answered'] ?? 0) >= done + 3)
    expect(await lookUps(2)).toEqual(before)
    const [misses] = [before['miss'] ?? 0]
    await ask(first.url, '/v1/predict', { model: 'delay', version: 2, entities: rows })
    expect((await lookUps(2))['miss']).toBe(misses + 1)
  })

  it('whose feature service fails for some rows changes no answer', async () => {
    const before = resultOf(await predict())
    await start(3)
    for (let i = 0; i < 3; i++) expect(resultOf(await predict(first, 'delay'))).toEqual(before)
    for (const distance of [13, 14]) await predict(first, 'delay', [{ airport: 'ATL', distance }])
    // a request with the row 13 fails as a whole, in the shadow alone
    await until(async () => (await rowsOf(first, 3))['failed'] === 3 * entities.length + 1)
    await until(async () => (await rowsOf(first, 3))['answered'] === 1)
    await until(async () => ((await send('GET', 'delay', 'shadow')).body as unknown as ShadowReport).comparison?.pairs === 1)
  })

  it('that does not end delays no answer', async () => {
    const rows = [{ airport: 'ATL', distance: 1e-17 }]
    const before = resultOf(await predict(first, 'echo', rows))
    await start(2, {}, 'echo')
    const ended = () => totalOf(first, 2, 'echo')
    const endedBefore = await ended()
    const early: number[] = []
    for (let answers = 1; answers <= 5; answers++) {
      expect(resultOf(await predict(first, 'echo', rows))).toEqual(before)
      if ((await ended()) - endedBefore < answers) early.push(answers)
    }
    // An answer that waited for its row in the shadow would come after the end of that row. One early answer is
    // enough, because a busy machine may take longer for an answer than the shadow for its row.
    expect(early).not.toEqual([])
    await until(async () => ((await rowsOf(first, 2, 'echo'))['failed'] ?? 0) >= 1)
  })

  it('is dropped and counted where its queue is full, or the process is busy', async () => {
    await start(2)
    // the other server is notified
    await until(async () => (await predict(second)).status === 200 && ((await rowsOf(second, 2))['full'] ?? 0) > 0)
    await until(async () => (await totalOf(second, 2)) % entities.length === 0)
    const before = await rowsOf(second, 2)
    await predict(second)
    await until(async () => (await rowsOf(second, 2))['answered'] === (before['answered'] ?? 0) + 3)
    expect((await rowsOf(second, 2))['full']).toBe((before['full'] ?? 0) + entities.length - 3)
    const idle = (await rowsOf(first, 2))['busy'] ?? 0
    busy = true
    expect((await predict()).status).toBe(200)
    expect((await rowsOf(first, 2))['busy']).toBe(idle + entities.length)
  })

  it('stops on every server that is notified, without a poll', async () => {
    await start(2)
    await until(async () => {
      await predict(second)
      return ((await rowsOf(second, 2))['full'] ?? 0) > 0
    })
    expect((await send('POST', 'delay', 'shadow/stop')).body).toMatchObject({ shadow: { state: 'stopped' }, inForce: true })
    // the other server is notified
    await until(async () => {
      const before = await totalOf(second, 2)
      await predict(second)
      return (await totalOf(second, 2)) === before
    })
    const before = await totalOf(first, 2)
    await predict()
    expect(await totalOf(first, 2)).toBe(before)
  })

  it('is refused with what to do', async () => {
    const refused = async (path: string, body: unknown, status: number, text: string) => {
      const { status: got, body: answer } = await send('POST', 'delay', path, body)
      expect([got, (answer['error'] as { message: string } | undefined)?.message]).toEqual([status, expect.stringContaining(text)])
    }
    const from = { version: 2, share: 0.5 }
    await refused(
      'shadow',
      { ...from, unit: 'destination' },
      400,
      'The unit is "destination", but requests for the model "delay" have no such field',
    )
    await refused('shadow', { ...from, share: 2 }, 400, 'share')
    await refused('shadow', { ...from, tolerance: -1 }, 400, 'tolerance')
    await refused('shadow', { ...from, version: 1 }, 409, 'there is nothing to run in shadow')
    await refused('shadow', { ...from, version: 9 }, 404, 'no version 9')
    await refused('shadow/stop', {}, 404, 'lockstep shadow start delay@N')
    await start(2)
    await refused('shadow', from, 409, 'has a shadow, version 2, already')
  })
})

it('has latencies, drops and errors by code once servers have written their minute', async () => {
  // no other server writes minutes of this model, whenever they end
  await start(2, {}, 'measured')
  const third = await world.serve({ ...options, shadows: { isBusy: () => false }, closeMs: 60_000 })
  await third.server.whenReady()
  const early = await shadowReport(world.db, await loadCatalog(world.db), { model: 'measured', now: Date.now() * 1000 })
  expect(early.comparison?.notes).toEqual([
    expect.stringContaining('set LOCKSTEP_LOG_PREDICTIONS'),
    expect.stringMatching(/^Times, failures and dropped requests are not known yet: /),
  ])
  for (const distance of [13, 14]) await predict(third, 'measured', [{ airport: 'ATL', distance }])
  await until(async () => {
    const { answered, failed } = await rowsOf(third, 2, 'measured')
    return answered === 1 && failed === 1
  })
  // it writes the minute that is not over, too
  await third.server.close()
  const report = await shadowReport(world.db, await loadCatalog(world.db), { model: 'measured', now: Date.now() * 1000 })
  expect(report.comparison?.traffic).toMatchObject({
    shadow: { version: 2, role: 'shadow', requests: 1, rows: 1 },
    dropped: 0,
    errors: { TRANSFORM_FAILED: 1 },
    answered: [{ version: 1, role: 'champion', requests: 2 }],
  })
  expect(report.comparison?.traffic?.shadow.run.p50).toBeGreaterThan(0)
  expect(report.comparison?.notes).toEqual([])
})

it('says that no row can be compared, because it failed on each', async () => {
  await start(2, {}, 'failing')
  const third = await world.serve({ ...options, shadows: { isBusy: () => false }, closeMs: 60_000 })
  await third.server.whenReady()
  await predict(third, 'failing', [{ airport: 'ATL', distance: 13 }])
  await until(async () => (await rowsOf(third, 2, 'failing')).failed === 1)
  await third.server.close()
  const report = await shadowReport(world.db, await loadCatalog(world.db), { model: 'failing', now: Date.now() * 1000 })
  expect(report.comparison?.notes).toEqual([expect.stringMatching(/^No row can be compared, because the shadow failed on each row/)])
})
