import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectModel } from '../../inference/inspect-model.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import { pushModel } from '../../registry/models/models.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { createLogger } from '../../runtime/log.ts'
import { evaluatedFile } from '../../serving/evaluation/evaluated-model.ts'
import { openUnserved } from '../../inference/open-unserved.ts'
import { makeOnnx } from '../inference/make-onnx.ts'
import { load } from '../registry/definition-files.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

/** As exports of PyTorch have it: numbers in one input, ids of embeddings in another. It answers both. */
const embeddings = makeOnnx({
  graph: {
    inputs: [
      { name: 'x_num', type: 'float', shape: ['batch', 3] },
      { name: 'x_cat', type: 'int64', shape: ['batch', 2] },
      { name: 'city', type: 'string', shape: ['batch', 1] },
    ],
    outputs: [
      { name: 'numbers', type: 'float', shape: ['batch', 3] },
      { name: 'row', type: 'float', shape: ['batch', 4] },
      { name: 'name', type: 'string', shape: ['batch', 1] },
    ],
    initializers: [
      { name: 'table', type: 'float', dims: [4, 2], raw: new Uint8Array(new Float32Array([0, 0.5, 10, 10.5, 20, 20.5, 30, 30.5]).buffer) },
    ],
    nodes: [
      { type: 'Identity', inputs: ['x_num'], outputs: ['numbers'] },
      { type: 'Identity', inputs: ['city'], outputs: ['name'] },
      { type: 'Gather', inputs: ['table', 'x_cat'], outputs: ['embedded'], attributes: { axis: 0n } },
      { type: 'Flatten', inputs: ['embedded'], outputs: ['row'], attributes: { axis: 1n } },
    ],
  },
})

const definitions = (input: string) => `import { entity, featureService, featureView, last, model, source, t } from 'lockstep'

const shopper = entity('shopper', { key: { shopper: t.string } })
const visits = source('visits', {
  key: { shopper: 'shopper' }, eventTime: 'at',
  columns: { age: t.float64, amount: t.float32, items: t.int32, plan: t.int64, country: t.int64, city: t.string },
})
const features = {
  age: last('age'), plan: last('plan', { default: 0n }), amount: last('amount'), country: last('country', { default: 0n }),
  items: last('items'), city: last('city', { default: '' }),
}
export const shoppers = featureView('shoppers', { version: 1, entity: shopper, source: visits, features })
export const shopperFeatures = featureService('shopper_features', { version: 1, features: [shoppers] })
export const taste = model('taste', {
  service: shopperFeatures, ${input} output: { numbers: t.vector(3), row: t.vector(4), name: t.string },
})
`
const declared = definitions(`input: { x_num: ['amount', 'items', 'age'], x_cat: ['country', 'plan'] },`)

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded', await load({ 'features.ts': declared }))
  await world.db.script(`
    insert into lockstep_source.visits (shopper, at, age, amount, items, plan, country, city) values
      ('ann', '2001-07-01T11:00:00Z', 41.5, 2.25, 7, 1, 3, 'Oslo'), ('bob', '2001-07-01T11:00:00Z', null, 1, 2, 2, 1, 'Rome')
  `)
  await world.materialize('shoppers')
  await world.push('taste', embeddings)
  const served = await world.serve({}, { grpcPort: 0 })
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

const ann = { numbers: [2.25, 7, 41.5], row: [30, 30.5, 10, 10.5], name: 'Oslo' }

describe('inputs of several declared features', () => {
  it('get their features in the declared order, by entity', async () => {
    const { status, body } = await ask(url, '/v1/predict', {
      model: 'taste',
      entities: [{ shopper: 'ann' }, { shopper: 'bob' }, { shopper: 'nobody' }],
    })
    expect(status).toBe(200)
    expect(body.predictions).toEqual([
      ann,
      { numbers: [1, 2, null], row: [10, 10.5, 20, 20.5], name: 'Rome' },
      { numbers: [null, null, null], row: [0, 0.5, 0, 0.5], name: '' },
    ])
  })

  it('are described and taken by the Open Inference Protocol', async () => {
    const { body } = await ask(url, '/v2/models/taste')
    expect(body).toMatchObject({
      inputs: [
        { name: 'x_num', datatype: 'FP32', shape: [-1, 3] },
        { name: 'x_cat', datatype: 'INT64', shape: [-1, 2] },
        { name: 'city', datatype: 'BYTES', shape: [-1, 1] },
      ],
    })
    const tensors = await ask(url, '/v2/models/taste/infer', {
      inputs: [
        { name: 'x_num', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] },
        { name: 'x_cat', datatype: 'INT64', shape: [1, 2], data: [2, 0] },
        { name: 'city', datatype: 'BYTES', shape: [1, 1], data: ['Bern'] },
      ],
    })
    expect(tensors.body).toMatchObject({ outputs: [{ data: [1, 2, 3] }, { data: [20, 20.5, 0, 0.5] }, { data: ['Bern'] }] })
    const entities = await ask(url, '/v2/models/taste/infer', {
      inputs: [{ name: 'shopper', datatype: 'BYTES', shape: [1], data: ['ann'] }],
      outputs: [{ name: 'row' }],
    })
    expect(entities.body).toMatchObject({ outputs: [{ name: 'row', data: ann.row }] })
  })

  it('are named with their features by the version', async () => {
    const { body } = await ask(url, '/v1/models/taste/versions/1')
    expect(body).toMatchObject({
      inputs: [{ name: 'x_num', features: ['amount', 'items', 'age'] }, { name: 'x_cat', features: ['country', 'plan'] }, { name: 'city' }],
    })
  })

  it('get the same values by column, as in a batch', async () => {
    const pool = createProcessPool()
    const catalog = await loadCatalog(world.db)
    const model = catalog.model('taste')
    const { binding } = bindVersion(catalog, model.spec, pickVersion(model, 1))
    const log = createLogger('error', { write: () => undefined })
    const open = await openUnserved(() => Promise.resolve(embeddings), { binding, name: 'taste@1', operational: {}, pool, log })
    // in the order of the service: age, plan, amount, country, items, city
    const { outputs, failures } = await open.runColumns([[41.5], [1n], [2.25], [3n], [7], ['Oslo']], 1)
    expect(failures).toEqual([null])
    expect(outputs).toEqual([[new Float32Array(ann.numbers)], [new Float32Array(ann.row)], [ann.name]])
    await open.close()
    pool.close()
  })

  it('are those of the push, whatever is declared later, until the file is pushed again', async () => {
    const swapped = { numbers: [41.5, 2.25, 7], row: [10, 10.5, 30, 30.5], name: 'Oslo' }
    const answerOf = async (version: number) =>
      (await ask(url, '/v1/predict', { model: 'taste', version, entities: [{ shopper: 'ann' }] })).body.predictions?.[0]
    const set = await load({ 'features.ts': definitions(`input: { x_num: ['age', 'amount', 'items'], x_cat: ['plan', 'country'] },`) })
    expect((await planChanges(world.db, set)).notes).toContain(
      'The model "taste" version 1, which is served, keeps the inputs that it was pushed with. To serve it with those declared now, push its file again.',
    )
    await applyChanges(world.db, set)
    expect(await world.push('taste', embeddings)).toBe(2)
    expect(await world.push('taste', embeddings)).toBe(2)
    await expect.poll(() => answerOf(2), { timeout: 60_000 }).toEqual(swapped)
    expect(await answerOf(1)).toEqual(ann)

    const without = await load({ 'features.ts': definitions('') })
    expect((await planChanges(world.db, without)).notes.join('\n')).toContain('its input "x_num" is not a feature of the service')
    await applyChanges(world.db, without)
    await expect(world.push('taste', embeddings)).rejects.toMatchObject({ code: 'MODEL_MISMATCH' })
    const catalog = await loadCatalog(world.db)
    await expect(evaluatedFile(catalog, 'taste', { bytes: embeddings, file: 'taste.onnx' })).rejects.toMatchObject({
      code: 'MODEL_MISMATCH',
    })
    expect(await answerOf(2)).toMatchObject({ numbers: [41.5, 2.25, 7] })

    await applyChanges(world.db, await load({ 'features.ts': declared }))
    const candidate = await evaluatedFile(await loadCatalog(world.db), 'taste', { bytes: embeddings, file: 'taste.onnx' })
    expect(candidate.binding.inputs[1]?.columns.map(({ name }) => name)).toEqual(['country', 'plan'])
    expect(await pushModel(world.db, { model: 'taste', bytes: embeddings, contract: await inspectModel(embeddings) })).toMatchObject({
      version: { version: 1 },
      notes: ['version 2 still answers requests, as it is the newest. To serve version 1: lockstep model promote taste@1'],
    })

    // as "lockstep dev" does, which has one version of each model
    await applyChanges(world.db, set)
    await world.db.script(`delete from lockstep.model_versions where model = 'taste'`)
    expect(await world.push('taste', embeddings)).toBe(1)
    await expect.poll(() => answerOf(1), { timeout: 60_000 }).toEqual(swapped)
  })
})
