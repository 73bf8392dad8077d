import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Prediction } from '../../inference/load-model.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { createRolloutCounts, readCounts } from '../../monitoring/rollouts/rollout-counts.ts'
import { noRollups } from '../../monitoring/rollups/rollup-recorder.ts'
import { createLogMetrics } from '../../monitoring/prediction-log/log-metrics.ts'
import { createPredictionLog } from '../../monitoring/prediction-log/prediction-log.ts'
import { listPredictions } from '../../monitoring/prediction-log/read-predictions.ts'
import { readHistory } from '../../offline/history.ts'
import { writtenKeys } from '../../offline/written-keys.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import { readLastRollout } from '../../registry/rollouts/rollout.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { createLogger } from '../../runtime/log.ts'
import type { ModelHost } from '../../serving/models/model-host.ts'
import { createModelHost } from '../../serving/models/model-host.ts'
import { createRunMetrics } from '../../serving/models/run-metrics.ts'
import { createBypass } from '../../serving/rollouts/bypass.ts'
import { countRollouts } from '../../serving/rollouts/count-rollouts.ts'
import type { Predicted, PredictContext, PredictRequest } from '../../serving/predict/predict.ts'
import { predictAssigned } from '../../serving/predict/predict.ts'
import { predict } from '../../serving/predict/predict-routed.ts'
import { hash, hour, nextServingSet } from './definitions.ts'
import type { World } from './world.ts'
import { createWorld, noon } from './world.ts'

/** The model "echo", which returns its features: version 1 takes those of `flight@1`, version 2 those of `flight@2`. */
function secondSet(): DefinitionSet {
  const next = nextServingSet()
  const services = next.services.map((service) => {
    if (service.spec.version !== 2) return service
    const [view] = service.spec.members
    if (view?.kind !== 'view') throw new Error('flight@2 has no view')
    const members = [
      { ...view, features: ['lastDelay', 'landed2h'] },
      { kind: 'onDemand', view: 'flight_context@2', features: ['pressure'] },
    ] as const
    const spec = { ...service.spec, members }
    return { ...service, spec, fingerprint: hash(JSON.stringify(spec)) }
  })
  const models = next.models.map((model) => {
    if (model.spec.name !== 'echo') return model
    const spec = { ...model.spec, service: 'flight@2' } as const
    return { ...model, spec, fingerprint: hash(JSON.stringify(spec)) }
  })
  return { ...next, services, models }
}

let world: World
let catalog: Catalog
let models: ModelHost
const metrics = new Registry()

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay) values
      ('ATL', '2001-07-01T11:30:00Z', 25), ('ATL', '2001-07-01T10:30:00Z', 7), ('JFK', '2001-07-01T10:40:00Z', -3)
  `)
  for (const view of ['airport_delays', 'airport_required']) await world.materialize(view)
  await world.push('echo', 'identity')
  await world.push('strict', 'one')
  await world.push('strict', 'one', 'again')
  await applyChanges(world.db, secondSet())
  await world.materialize('airport_delays@2')
  await world.push('echo', 'identity', 'next')
  catalog = await loadCatalog(world.db)
  models = createModelHost({
    readBytes: (model, version) => readModelBytes(world.db, model, version),
    metrics: createRunMetrics(metrics),
    onVersions: () => undefined,
    log: createLogger('silent'),
    now: () => 0,
  })
  await models.prepare(catalog)
})
afterAll(async () => {
  await models?.close()
  await world?.close()
})

/** @param clock "now", epoch microseconds */
function contextAt(clock: number): PredictContext & { readonly close: () => Promise<void> } {
  const log = createLogger('silent')
  const predictionLog = createPredictionLog(
    { database: () => world.db, metrics: (waiting) => createLogMetrics(new Registry(), waiting), log, clock: () => noon },
    { shares: { share: 1, models: new Map() }, retentionDays: 30 },
  )
  return {
    catalog: () => catalog,
    models,
    reader: () => ({
      store: world.store,
      isOnline: (view) => catalog.online.has(view),
      history: (requests, onSeen) => readHistory(world.db, requests, { onSeen }),
      written: (plan, keys, by) => writtenKeys(world.db, plan, keys, by),
    }),
    clock: () => clock,
    defaultAsOf: null,
    onUnavailable: 'error',
    log,
    predictionLog,
    rollups: noRollups,
    exposures: { note: () => undefined },
    shadows: { offer: () => undefined },
    bypass: createBypass({ registry: new Registry(), log, now: () => performance.now(), onBegin: () => undefined }),
    close: () => predictionLog.close(5000),
  }
}

function request(id: string, entities: readonly object[], model = 'echo'): PredictRequest {
  return { model, entities, caller: { requestId: id, predictionBase: `${id}.base`, startedMs: performance.now(), apiKey: null } }
}
const entities = ['ATL', 'JFK', 'ATL', 'XXX'].map((airport, i) => ({ airport, distance: 100 + i }))
/** The even rows to version 1, the odd ones to version 2. */
const alternating = [
  { version: 1, rows: [0, 2], role: 'champion', experiment: null, variant: null },
  { version: 2, rows: [1, 3], role: 'arm', experiment: 'trial', variant: 'next' },
] as const
const outs = (predictions: readonly Prediction[]) => predictions.map(([out]) => [...(out as Float32Array)])
const servedBy = ({ groups }: Predicted) => groups.map(({ model, rows }) => [model.version.version, model.service.id, rows])

describe('rows of one request that are assigned to two versions', () => {
  it('are predicted by the feature service of their version, and keep their order', async () => {
    const context = contextAt(noon)
    const { predicted } = await predictAssigned(context, request('two', entities), alternating, (predicted) => ({ predicted }))
    expect(servedBy(predicted)).toEqual([
      [1, 'flight@1', [0, 2]],
      [2, 'flight@2', [1, 3]],
    ])
    expect(predicted.read).toMatchObject({ asOf: noon, skewed: false, degraded: false, staleMs: null, late: [] })
    expect(outs(predicted.predictions)).toEqual([
      [25, 1, 0.25],
      [-3, 1, Math.fround(-3 / 101)],
      [25, 1, Math.fround(25 / 102)],
      [Number.NaN, 0, Number.NaN],
    ])
    // each as the version alone answers it
    for (const { version, rows } of alternating) {
      const alone = request('alone', entities)
      const all = await predict(context, { ...alone, version }, ({ predictions }) => outs(predictions))
      for (const row of rows) expect(outs(predicted.predictions)[row]).toEqual(all[row])
    }
    await context.close()
  })

  it('share one read of features if the versions have the same service', async () => {
    const context = contextAt(noon)
    let reads = 0
    const failures: unknown[] = []
    const counted = {
      ...context,
      reader: (of: Catalog) => ({ ...context.reader(of), onRead: () => reads++ }),
      rollups: { ...noRollups, failed: (...[, version]: Parameters<typeof noRollups.failed>) => failures.push(version) },
    }
    const strict = ['ATL', 'JFK', 'ATL'].map((airport) => ({ airport }))
    const rowsOf = [[0, 2], [1]]
    const assignments = alternating.map((each, g) => ({ ...each, rows: rowsOf[g] ?? [] }))
    const { groups } = await predictAssigned(counted, request('shared', strict, 'strict'), assignments, (predicted) => predicted)
    expect(reads).toBe(1)
    const partsOf = ({ read }: (typeof groups)[number]) => {
      const origins = read.origins()
      return read.rows.map(({ values, statuses }, i) => ({ keys: read.entities[i]?.keys, values, statuses, origins: origins[i] }))
    }
    // each row as the version alone reads it
    for (const { version, rows } of assignments) {
      const [alone] = await predict(counted, { ...request('alone', strict, 'strict'), version }, (predicted) => predicted.groups)
      const own = groups.find(({ model }) => model.version.version === version)
      expect(own === undefined ? [] : partsOf(own)).toEqual(rows.map((row) => alone && partsOf(alone)[row]))
    }
    // no version is at fault if the one read fails
    const lacking = [{ airport: 'ATL' }, { airport: 'XXX' }, { airport: 'ATL' }]
    const failing = predictAssigned(counted, request('lacking', lacking, 'strict'), assignments, () => null)
    await expect(failing).rejects.toMatchObject({ code: 'REQUIRED_FEATURE_MISSING', details: { entity: 1 } })
    expect(failures).toEqual([1, 2])
    await context.close()
  })

  it('fail with the version that failed alone in its errors', async () => {
    const failures: unknown[] = []
    const broken: PredictContext['models'] = {
      ...models,
      use: (of, name, version, fn) =>
        models.use(of, name, version, (model) =>
          fn(version === 2 ? { ...model, version: model.version, predict: () => Promise.reject(new Error('broken')) } : model),
        ),
    }
    const context = contextAt(noon)
    const counted = { ...noRollups, failed: (...[, version, role]: Parameters<typeof noRollups.failed>) => failures.push([version, role]) }
    const asked = predictAssigned({ ...context, models: broken, rollups: counted }, request('broken', entities), alternating, () => null)
    await expect(asked).rejects.toThrow('broken')
    expect(failures).toEqual([[2, 'arm']])
    // a fault of the request is one of both
    const late = { ...request('late', entities), deadline: { at: 0, limitMs: 1 } }
    await expect(predictAssigned({ ...context, rollups: counted }, late, alternating, () => null)).rejects.toThrow()
    expect(failures.slice(1)).toEqual([
      [1, 'champion'],
      [2, 'arm'],
    ])
    await context.close()
  })

  it('keep their variant if the champion answers in place of it, so the unit stays in its arm', async () => {
    const spec = { unit: 'airport', layer: null, metrics: [], covariates: [], slices: [] }
    const slices = [{ from: 0, to: 1, variant: 'next' }]
    const run = {
      id: 1,
      name: 'trial',
      model: 'echo',
      spec,
      salt: 's',
      coverage: 1,
      slices,
      versions: { next: 1 },
    } as unknown as ExperimentRun
    const echo = { ...catalog.model('echo'), experiments: [run] }
    const inTrial: Catalog = { ...catalog, model: () => echo, models: new Map([['echo', echo]]) }
    const context = contextAt(noon)
    const noted: unknown[] = []
    const exposures = { note: (...[id, variant, unit]: Parameters<PredictContext['exposures']['note']>) => noted.push([id, variant, unit]) }
    const broken: PredictContext['models'] = {
      ...models,
      use: (of, name, version, fn, options) =>
        models.use(
          of,
          name,
          version,
          (model) => fn(version === 1 ? { ...model, predict: () => Promise.reject(new Error('broken')) } : model),
          options,
        ),
    }
    const unloaded = { ...models, failureOf: () => 'not loaded' }
    const counted: string[] = []
    const rollups = {
      ...noRollups,
      bypassed: (...[, version, role]: Parameters<typeof noRollups.bypassed>) => counted.push(`${version} bypassed as ${role}`),
      failed: (...[, version, role]: Parameters<typeof noRollups.failed>) => counted.push(`${version} failed as ${role}`),
    }
    const asked = { ...request('kept', entities.slice(0, 2)), catalog: inTrial }
    const failures = async (version: string) =>
      (await metrics.getSingleMetric('lockstep_model_request_failures_total')?.get())?.values.find(
        ({ labels }) => labels['model'] === 'echo' && labels['version'] === version,
      )?.value ?? 0
    const before = [await failures('1'), await failures('2')] as const
    for (const [host, bypassed] of [
      [broken, 1],
      [unloaded, undefined],
    ] as const) {
      const { groups } = await predict({ ...context, exposures, rollups, models: host }, asked, (predicted) => predicted)
      expect(groups).toMatchObject([
        { model: { version: { version: 2 } }, role: 'champion', experiment: 'trial', variant: 'next', bypassed },
      ])
      expect(noted.splice(0)).toEqual([
        [1, 'next', 'ATL'],
        [1, 'next', 'JFK'],
      ])
    }
    expect(counted.splice(0)).toEqual(['1 bypassed as arm'])
    expect([await failures('1'), await failures('2')]).toEqual(before)
    // a failure that nothing makes good is one of both, in the rollups and in the metrics
    const allBroken: PredictContext['models'] = {
      ...broken,
      use: (of, name, version, fn, options) =>
        models.use(of, name, version, (model) => fn({ ...model, predict: () => Promise.reject(new Error('broken')) }), options),
    }
    const failing = predict({ ...context, rollups, models: allBroken }, asked, (predicted) => predicted)
    await expect(failing).rejects.toThrow('broken')
    expect(counted).toEqual(['1 failed as arm', '2 failed as champion'])
    expect([await failures('1'), await failures('2')]).toEqual([before[0] + 1, before[1] + 1])
    await context.close()
  })

  it('fail for neither version of a rollout if the champion fails on the same rows', async () => {
    await world.db.query(
      `insert into lockstep.rollouts (model, version, state, share, unit, salt, plan, step, revision, started_by)
       values ('echo', 1, 'running', 1, 'airport', 's', '{}', 0, 1, 'ann')`,
    )
    const rollout = (await readLastRollout(world.db.kysely, 'echo')) as Rollout
    const echo = { ...catalog.model('echo'), rollout }
    const rollingOut: Catalog = { ...catalog, model: () => echo, models: new Map([['echo', echo]]) }
    const context = contextAt(noon)
    /** The counts of a request for which each version throws its error, if it has one. */
    const countedOf = async (id: string, errors: ReadonlyMap<number, Error>) => {
      const host: PredictContext['models'] = {
        ...models,
        use: (of, name, version, fn, options) =>
          models.use(
            of,
            name,
            version,
            (model) => {
              const error = errors.get(model.version.version)
              return fn(error === undefined ? model : { ...model, predict: () => Promise.reject(error) })
            },
            options,
          ),
      }
      const counts = createRolloutCounts({ catalog: () => rollingOut, database: () => world.db, log: context.log })
      const rollups = countRollouts(noRollups, counts)
      const asked = { ...request(id, entities.slice(0, 1)), catalog: rollingOut }
      await predict({ ...context, rollups, models: host }, asked, () => null).catch(() => null)
      await counts.close()
      const { candidate, champion } = await readCounts(world.db, rollout.id, 1, 'of')
      await world.db.query('delete from lockstep.rollout_counts')
      return [Object.fromEntries(candidate.errors), Object.fromEntries(champion.errors)]
    }
    const broken = new LockstepError('MODEL_FAILED', 'It cannot take these rows.')
    const down = new LockstepError('REDIS_UNAVAILABLE', 'It does not answer.')
    expect(await countedOf('alone', new Map([[1, broken]]))).toEqual([{ MODEL_FAILED: 1 }, {}])
    const both = new Map([1, 2].map((version) => [version, broken]))
    expect(await countedOf('both', both)).toEqual([{}, {}])
    // a fault of the server is one of each version
    const all = new Map([1, 2].map((version) => [version, down]))
    expect(await countedOf('down', all)).toEqual([{ REDIS_UNAVAILABLE: 1 }, { REDIS_UNAVAILABLE: 1 }])
    await context.close()
  })

  it('are logged with version and request index, under unique ids', async () => {
    const context = contextAt(noon)
    await predictAssigned(context, request('logged', entities), alternating, () => null)
    await context.close()
    const logged = await listPredictions(world.db, { since: 0, requestId: 'logged', limit: 10 })
    expect(logged.map(({ entity, version, service, predictionId, keys }) => [entity, version, service, predictionId, keys])).toEqual([
      [0, 1, 'flight@1', 'logged.base/0', { airport: 'ATL' }],
      [1, 2, 'flight@2', 'logged.base/1', { airport: 'JFK' }],
      [2, 1, 'flight@1', 'logged.base/2', { airport: 'ATL' }],
      [3, 2, 'flight@2', 'logged.base/3', { airport: 'XXX' }],
    ])
    expect(logged.map(({ role, experiment, variant }) => [role, experiment, variant])).toEqual([
      ['champion', null, null],
      ['arm', 'trial', 'next'],
      ['champion', null, null],
      ['arm', 'trial', 'next'],
    ])
  })

  it('share the moment of the group whose states are ahead of the clock', async () => {
    const context = contextAt(noon - 5 * hour)
    const newest = noon - hour / 2
    const predicted = await predictAssigned(context, request('skewed', entities), alternating, (result) => result)
    // version 1 reads ATL, version 2 JFK and an entity without rows: each group alone would have a moment of its own
    expect(predicted.read).toMatchObject({ asOf: newest, skewed: true })
    expect(predicted.groups.map(({ read }) => [read.asOf, read.skewed])).toEqual([
      [newest, true],
      [newest, true],
    ])
    expect(outs(predicted.predictions).map(([first, second]) => [first, second])).toEqual([
      [25, 2],
      [-3, 1],
      [25, 2],
      [Number.NaN, 0],
    ])
    await context.close()
  })

  it('fail together, with an error that names the row by its index in the request', async () => {
    const context = contextAt(noon)
    const strict = [{ airport: 'ATL' }, { airport: 'JFK' }, { airport: 'ATL' }, { airport: 'XXX' }]
    const failing = predictAssigned(context, request('failed', strict, 'strict'), alternating, () => null)
    await expect(failing).rejects.toMatchObject({ code: 'REQUIRED_FEATURE_MISSING', details: { entity: 3 } })
    const wrong = predictAssigned(context, request('failed', [...entities.slice(0, 3), {}]), alternating, () => null)
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_ENTITY', details: { entity: 3 } })
    await context.close()
    expect(await listPredictions(world.db, { since: 0, requestId: 'failed', limit: 10 })).toEqual([])
  })

  it('fail if a row is assigned to no version', async () => {
    const context = contextAt(noon)
    const partly = predictAssigned(context, request('partly', entities), [{ ...alternating[0], rows: [0, 2, 3] }], () => null)
    await expect(partly).rejects.toMatchObject({ code: 'INTERNAL' })
    await context.close()
  })

  it('are not logged if the answer cannot be encoded', async () => {
    const context = contextAt(noon)
    const encoding = predict(context, request('broken', entities), () => {
      throw new Error('no such form')
    })
    await expect(encoding).rejects.toThrow('no such form')
    await context.close()
    expect(await listPredictions(world.db, { since: 0, requestId: 'broken', limit: 10 })).toEqual([])
  })
})
