import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import { promoteModel, removeModelAlias, rollBackModel } from '../../registry/models/promote.ts'
import { createLogger } from '../../runtime/log.ts'
import type { SelectedVersions } from '../../serving/models/select-versions.ts'
import type { ModelHost, ModelHostDeps } from '../../serving/models/model-host.ts'
import { createModelHost } from '../../serving/models/model-host.ts'
import { createRunMetrics } from '../../serving/models/run-metrics.ts'
import { hash, servingSet } from './definitions.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
})
afterAll(() => world?.close())

let selected: SelectedVersions | undefined
const by = { actor: 'test' }
const answering = (models: ModelHost, at: Catalog) => models.answering(at, at.model('delay'))?.version
const read = (model: string, version: number) => readModelBytes(world.db, model, version)

/** A host that goes on with what it has where a load takes longer. */
function impatient(patienceMs: number, readBytes: ModelHostDeps['readBytes']): ModelHost {
  return createModelHost({
    readBytes,
    metrics: createRunMetrics(new Registry()),
    onVersions: (chosen) => (selected = chosen),
    log: createLogger('silent'),
    now: () => 0,
    patienceMs,
  })
}

describe('the version that a model answers with during slow loads', () => {
  it('stays the same until the new version is loaded, and delays no other model', async () => {
    let slow = 0
    const reads: number[] = []
    const reading = Promise.withResolvers<void>()
    const models = impatient(50, async (model, version) => {
      reads.push(version)
      if (model === 'delay' && version === slow) await reading.promise
      return await read(model, version)
    })
    for (const producer of ['', 'other']) await world.push('echo', 'identity', producer)
    for (const model of ['delay', 'echo']) await promoteModel(world.db, model, 1, by)
    slow = await world.push('delay', 'mlp', 'slow')
    const first = await loadCatalog(world.db)
    await models.prepare(first)
    await promoteModel(world.db, 'delay', slow, by)
    await promoteModel(world.db, 'echo', 2, by)
    const second = await loadCatalog(world.db)
    await models.use(second, 'echo', 2, async () => undefined)
    await models.prepare(second)
    const echo = () => models.answering(second, second.model('echo'))?.version
    expect([answering(models, second), echo(), selected?.answering.get('delay')?.version]).toEqual([1, 2, 1])
    const used = async () => await models.use(second, 'delay', undefined, async (model) => model.version.version)
    expect(await used()).toBe(1)
    // the next one, whose load takes long too, goes on with what answers by then; what an older catalog does not know
    // stays loaded
    const third = await loadCatalog(world.db)
    const slowEcho = await world.push('echo', 'identity', 'slow')
    await promoteModel(world.db, 'echo', slowEcho, by)
    const fourth = await loadCatalog(world.db)
    await models.use(fourth, 'echo', slowEcho, async () => undefined)
    reads.length = 0
    models.retire(third)
    await models.use(fourth, 'echo', slowEcho, async () => undefined)
    expect(reads).toEqual([])
    await promoteModel(world.db, 'delay', 1, by)
    await promoteModel(world.db, 'delay', slow, by)
    const fifth = await loadCatalog(world.db)
    await models.prepare(fifth)
    expect([answering(models, fifth), models.answering(fifth, fifth.model('echo'))?.version]).toEqual([1, slowEcho])
    reading.resolve()
    await until(async () => answering(models, fifth) === slow)
    expect([answering(models, second), echo(), models.failures]).toEqual([1, 2, []])
    expect(selected).toMatchObject({ failed: [] })
    await models.close()
    for (const model of ['delay', 'echo']) await removeModelAlias(world.db, model, 'champion', by)
    await world.db.query(`delete from lockstep.model_versions where version > 2 or model = 'echo'`)
  })

  it('changes per model once its load ends, and delays no other change', async () => {
    const gates = new Map<string, PromiseWithResolvers<void>>()
    const models = impatient(50, async (model, version) => {
      await gates.get(model)?.promise
      return await read(model, version)
    })
    for (const producer of ['', 'other']) {
      await world.push('classes', 'logistic', producer)
      await world.push('echo', 'identity', producer)
    }
    const echoBroken = await world.push('echo', 'identity', 'broken')
    await world.db.query(`update lockstep.model_versions set bytes = 'x' where model = 'echo' and version = ${echoBroken}`)
    for (const version of [1, 2]) await promoteModel(world.db, 'classes', version, by)
    await promoteModel(world.db, 'delay', 1, by)
    const first = await loadCatalog(world.db)
    await models.prepare(first)
    const outputs = async (at: Catalog, version?: number | string) =>
      await models.use(at, 'classes', version, async (model) => [model.version.version, model.outputs.length])
    const all = async (at: Catalog) => await Promise.all([undefined, 'champion', 1, 2].map((version) => outputs(at, version)))
    const asItWas = [
      [2, 2],
      [2, 2],
      [1, 2],
      [2, 2],
    ]
    expect(await all(first)).toEqual(asItWas)
    await models.load(first, 'delay', 2)

    const changed = (timeoutMicros: number) =>
      servingSet.models.map((each) => {
        const spec = { ...each.spec, output: each.spec.output.slice(0, 1) }
        if (spec.name === 'classes') return { ...each, spec, fingerprint: hash(JSON.stringify(spec)), operational: { timeoutMicros } }
        return spec.name === 'echo' ? { ...each, operational: { timeoutMicros } } : each
      })
    for (const model of ['classes', 'echo']) gates.set(model, Promise.withResolvers())
    await applyChanges(world.db, { ...servingSet, models: changed(500_000) })
    await promoteModel(world.db, 'delay', 2, by)
    const second = await loadCatalog(world.db)
    await models.prepare(second)
    expect([answering(models, second), selected?.answering.get('delay')?.version, await all(second)]).toEqual([2, 2, asItWas])
    models.retire(second)
    // a user who promotes a version must know that of the model as it is to be
    let isLoaded = false
    const loading = models.load(second, 'classes', 1).then(() => (isLoaded = true))

    // what the model itself is rolled back to is there as it was
    await rollBackModel(world.db, 'classes', by)
    const third = await loadCatalog(world.db)
    await models.prepare(third)
    const rolledBack = [
      [1, 2],
      [1, 2],
      [1, 2],
      [2, 2],
    ]
    expect([await all(third), isLoaded]).toEqual([rolledBack, false])
    models.retire(third)
    expect(await all(third)).toEqual(rolledBack)

    gates.get('classes')?.resolve()
    await loading
    await until(async () => (await outputs(third))[1] === 1)
    expect([await outputs(third, 'champion'), selected?.answering.get('classes')]).toEqual([[1, 1], third.model('classes').versions[0]])
    // changed once more, it goes on as it is by now
    gates.set('classes', Promise.withResolvers())
    await applyChanges(world.db, { ...servingSet, models: changed(600_000) })
    const fourth = await loadCatalog(world.db)
    await models.prepare(fourth)
    expect([await outputs(fourth), await outputs(fourth, 1)]).toEqual([
      [1, 1],
      [1, 1],
    ])
    for (const gate of gates.values()) gate.resolve()
    await until(async () => models.failures.length > 0)
    expect(selected?.answering).toEqual(
      new Map(['delay', 'classes', 'echo'].map((name) => [name, fourth.model(name).versions[name === 'classes' ? 0 : 1]])),
    )
    models.retire(fourth)
    expect((await all(fourth)).map(([version]) => version)).toEqual([1, 1, 1, 2])
    await models.close()
    await applyChanges(world.db, servingSet)
    for (const model of ['delay', 'classes']) await removeModelAlias(world.db, model, 'champion', by)
    await world.db.query(`delete from lockstep.model_versions where model in ('classes', 'echo')`)
  })

  it('is an error if no version loads, whatever answered before', async () => {
    let broken = false
    const models = impatient(5000, async (model, version) => {
      if (broken) throw new LockstepError('MODEL_INVALID', 'It is none.')
      return await read(model, version)
    })
    const first = await loadCatalog(world.db)
    await models.prepare(first)
    broken = true
    await applyChanges(world.db, {
      ...servingSet,
      models: servingSet.models.map((each) => (each.spec.name === 'delay' ? { ...each, operational: { timeoutMicros: 700_000 } } : each)),
    })
    const second = await loadCatalog(world.db)
    await models.prepare(second)
    const used = async (version?: number) => await models.use(second, 'delay', version, async (model) => model.version.version)
    await expect(used()).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    await expect(used(2)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    expect([selected?.answering.has('delay'), selected?.failed.length]).toEqual([false, 2])
    models.retire(second)
    await models.close()
    await applyChanges(world.db, servingSet)
  })

  it('falls back for one broken version while another model still loads', async () => {
    const gate = Promise.withResolvers<void>()
    let slow = 0
    const models = impatient(200, async (model, version) => {
      if (model === 'echo' && version === 2) throw new LockstepError('MODEL_INVALID', 'It is none.')
      if (version === slow) await gate.promise
      return await read(model, version)
    })
    await models.prepare(await loadCatalog(world.db))
    await world.push('echo', 'identity')
    await models.load(await loadCatalog(world.db), 'echo', 1)
    slow = await world.push('delay', 'mlp', 'slow')
    await world.push('echo', 'identity', 'broken')
    const second = await loadCatalog(world.db)
    await models.prepare(second)
    expect(answering(models, second)).toBe(2)
    // that one may not have failed yet by the end of the patience
    await until(async () => models.answering(second, second.model('echo'))?.version === 1)
    gate.resolve()
    await until(async () => answering(models, second) === slow)
    await models.close()
    await world.db.query(`delete from lockstep.model_versions where version > 2 or model = 'echo'`)
  })
})
