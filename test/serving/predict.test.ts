import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bindModel } from '../../registry/models/model-binding.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { openInlineSession } from '../../inference/inline-session.ts'
import { loadedModel } from '../../inference/load-model.ts'
import { servingSet } from './definitions.ts'
import { onnx } from './fixtures.ts'
import { servicePlan } from './plans.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string
let registry: import('prom-client').Registry

beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay, amount, count, city, open, vec) values
      ('ATL', '2001-07-01T11:30:00Z', 25, 0.1, 9007199254740993, 'Atlanta', true, '{3,4}'),
      ('JFK', '2001-07-01T11:00:00Z', -3, null, null, null, null, null)
  `)
  for (const view of ['airport_delays', 'airport_typed']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('echo', 'identity')
  await world.push('typed', 'named')
  const served = await world.serve()
  url = served.url
  registry = served.registry
  await served.server.whenReady()
})
afterAll(() => world?.close())

const entities = [
  { airport: 'ATL', distance: 100 },
  { airport: 'JFK', distance: 10 },
  { airport: 'XXX', distance: 1 },
]

/** The predictions of the model itself for these feature rows. */
async function modelSays(file: string, model: string, rows: (number | null)[][]): Promise<number[]> {
  const bytes = await onnx(file)
  const spec = servingSet.models.find((declared) => declared.spec.name === model)!.spec
  const binding = bindModel(servicePlan('flight'), await inspectModel(bytes), spec)
  const loaded = loadedModel(await openInlineSession(bytes, model), binding, model)
  const answers = await loaded.run(rows)
  await loaded.close()
  return answers.map((answer) => answer[0] as number)
}

describe('POST /v1/predict', () => {
  it("answers the model's output for its features, with versions and moment", async () => {
    const { status, body, headers } = await ask(
      url,
      '/v1/predict',
      { model: 'delay', entities: entities.slice(0, 2) },
      { 'x-request-id': 'mine-1' },
    )
    expect(status).toBe(200)
    expect(body).toMatchObject({ model: 'delay', version: 1, service: 'flight@1', asOf: '2001-07-01T12:00:00Z', requestId: 'mine-1' })
    expect(headers.get('x-request-id')).toBe('mine-1')
    const expected = await modelSays('logistic', 'delay', [
      [25, 1, 0.25],
      [-3, 1, -0.3],
    ])
    expect(body.predictions.map((prediction) => Math.fround(Number(prediction.probabilities)))).toEqual(expected)
    expect(body.features).toBeUndefined()
  })

  it('predicts from what was pushed, by the token of the push', async () => {
    const event = { airport: 'NEW', at: '2001-07-01T11:45:00Z', delay: 40, amount: null, count: null, city: null, open: null, vec: null }
    const pushed = await ask(url, '/v1/sources/landings/events', { events: [event], to: 'offline' })
    const { token } = pushed.body as unknown as { token: string }
    const asked = { model: 'echo', entities: [{ airport: 'NEW', distance: 100 }] }
    expect((await ask(url, '/v1/predict', { ...asked, after: token })).body.predictions).toEqual([{ out: [40, 1, Math.fround(0.4)] }])
    expect((await ask(url, '/v1/predict', { ...asked, after: ['~'] })).body.error.code).toBe('INVALID_REQUEST')
  })

  it('feeds a missing value as NaN, and answers features with statuses on request', async () => {
    const { body } = await ask(url, '/v1/predict', { model: 'echo', entities, include: ['features', 'eventTimes'] })
    expect(body.predictions).toEqual([{ out: [25, 1, 0.25] }, { out: [-3, 1, Math.fround(-0.3)] }, { out: [null, 0, null] }])
    expect(body.outputStatuses).toEqual([{}, {}, { out: 'INVALID' }])
    expect((await ask(url, '/v1/predict', { model: 'echo', entities: entities.slice(0, 2) })).body.outputStatuses).toBeUndefined()
    expect(body.features?.[0]).toEqual({ lastDelay: 25, landed1h: 1, pressure: 0.25 })
    expect(body.statuses[2]).toEqual({ lastDelay: 'NOT_FOUND', landed1h: 'NOT_FOUND', pressure: 'NULL_VALUE' })
    expect(body.eventTimes[1]?.lastDelay).toBe('2001-07-01T11:00:00Z')
  })

  it('passes values of every type to a model of named inputs and back', async () => {
    const { text, body } = await ask(url, '/v1/predict', { model: 'typed', entities: [{ airport: 'ATL' }, { airport: 'JFK' }] })
    expect(text).toContain('"count_out":9007199254740993')
    expect(body.predictions[0]).toMatchObject({ amount_out: Math.fround(0.1), city_out: 'Atlanta', open_out: true, vec_out: [3, 4] })
    expect(body.predictions[1]).toEqual({ amount_out: null, count_out: 0, city_out: 'nowhere', open_out: false, vec_out: [null, null] })
  })

  it('predicts as of a past moment', async () => {
    const { body } = await ask(url, '/v1/predict', {
      model: 'echo',
      entities: entities.slice(0, 1),
      asOf: '2001-07-01T11:29:59Z',
      include: ['features'],
    })
    expect(body.asOf).toBe('2001-07-01T11:29:59Z')
    expect(body.features?.[0]?.lastDelay).toBeNull()
  })

  it('gives many concurrent clients the answers that each gets alone', async () => {
    const alone = await Promise.all(
      entities.map(async (entity) => (await ask(url, '/v1/predict', { model: 'echo', entities: [entity] })).body.predictions[0]),
    )
    const answers = await Promise.all(
      Array.from(
        { length: 120 },
        async (_, i) => (await ask(url, '/v1/predict', { model: 'echo', entities: [entities[i % 3]] })).body.predictions[0],
      ),
    )
    answers.forEach((answer, i) => expect(answer).toEqual(alone[i % 3]))
    expect(await registry.metrics()).toContain('lockstep_model_batch_rows_count{model="echo",version="1"}')
  })

  it('reports what is wrong with the requested model', async () => {
    const unknown = await ask(url, '/v1/predict', { model: 'dealy', entities })
    expect([unknown.status, unknown.body.error.code]).toEqual([404, 'UNKNOWN_DEFINITION'])
    expect(unknown.body.error.message).toContain('Did you mean "delay"')
    const named = await ask(url, '/v1/predict', { model: 'delay@1', entities })
    expect(named.body.error.message).toContain('Name the model "delay", and its version in a field of its own: "version": 1.')
    const version = await ask(url, '/v1/predict', { model: 'delay', version: 9, entities })
    expect([version.status, version.body.error.message]).toEqual([404, 'The model "delay" has no version 9; it has 1.'])
    const never = await ask(url, '/v1/predict', { model: 'strict', entities: [{ airport: 'ATL' }] })
    expect([never.status, never.body.error.message]).toEqual([404, expect.stringContaining('lockstep model push strict FILE')])
  })
})

describe('GET /v1/models', () => {
  it('lists every model with its versions, inputs, outputs and metadata', async () => {
    const { body } = await ask(url, '/v1/models')
    expect(body.models.map((model) => [model.model, model.version])).toEqual(
      expect.arrayContaining([
        ['delay', 1],
        ['classes', null],
      ]),
    )
    const one = await ask(url, '/v1/models/delay')
    const bytes = await onnx('logistic')
    expect(one.body).toMatchObject({
      model: 'delay',
      service: 'flight@1',
      outputs: [{ name: 'probabilities', type: 'float32' }],
      versions: [{ version: 1, sha256: createHash('sha256').update(bytes).digest('hex'), sizeBytes: bytes.length, metadata: {} }],
    })
    expect((await ask(url, '/v1/models/none')).status).toBe(404)
  })
})

describe('a running server', () => {
  it('loads a new model version, keeps the old one, and drops no request', async () => {
    let failed = 0
    const versions = new Set<number>()
    let pushed = false
    const load = (async () => {
      const end = performance.now() + 60_000
      while (performance.now() < end && !(pushed && versions.has(2))) {
        const { status, body } = await ask(url, '/v1/predict', { model: 'delay', entities: entities.slice(0, 1) })
        if (status === 200) versions.add(body.version)
        else failed++
      }
    })()
    expect(await world.push('delay', 'mlp')).toBe(2)
    pushed = true
    await load
    expect(failed).toBe(0)
    expect(versions).toContain(2)
    const old = await ask(url, '/v1/predict', { model: 'delay', version: 1, entities: entities.slice(0, 1) })
    const [expected] = await modelSays('logistic', 'delay', [[25, 1, 0.25]])
    expect([old.body.version, Math.fround(Number(old.body.predictions[0]?.probabilities))]).toEqual([1, expected])
  })

  it('refuses a model with altered bytes, and serves the others', async () => {
    await world.push('classes', 'logistic')
    await world.db.query(`update lockstep.model_versions set bytes = 'x' where model = 'classes'`)
    const fresh = await world.serve()
    await fresh.server.whenReady()
    const broken = await ask(fresh.url, '/v1/predict', { model: 'classes', entities })
    expect([broken.status, broken.body.error.code]).toEqual([500, 'CODE_HASH_MISMATCH'])
    expect((await ask(fresh.url, '/v1/predict', { model: 'echo', entities })).status).toBe(200)
    await fresh.server.close()
  })
})
