import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProcessPool } from '../../inference/process-pool.ts'
import { openUnserved } from '../../inference/open-unserved.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { createLogger } from '../../runtime/log.ts'
import { load } from '../registry/definition-files.ts'
import { onnx } from './fixtures.ts'
import type { GrpcCaller, Transport } from './oip/transports.ts'
import { openGrpc, restBinary } from './oip/transports.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

const definitions = `import { entity, featureService, featureView, last, model, source, t } from 'lockstep'

const place = entity('place', { key: { place: t.string } })
const readings = source('readings', {
  key: { place: 'place' }, eventTime: 'at', columns: { a: t.float64, b: t.float64, c: t.float32 },
})
export const places = featureView('places', {
  version: 1, entity: place, source: readings, features: { a: last('a'), b: last('b'), c: last('c') },
})
export const placeFeatures = featureService('place_features', { version: 1, features: [places] })
export const half = model('half', { service: placeFeatures, output: { probability: t.float32, hidden: t.vector(16) } })
`

/** The answers of ONNX Runtime 1.32 in Python for these features as numpy rounds them: see fixtures/make.py. */
const answers = [
  { row: [0.1, -2.3, 1.7], probability: 0.2509765625, hidden: [0.74072265625, 0.99072265625, 0.552734375, -0.96240234375] },
  { row: [1 / 3, 0.7, -1e-6], probability: 0.37744140625, hidden: [0.837890625, -0.251220703125, -0.78759765625, 0.94384765625] },
] as const
/** The bits of the rows and of the probabilities in numpy. */
const rowBits = [0x2e66, 0xc09a, 0x3ecd, 0x3555, 0x399a, 0x8011]
const probabilityBits = [0x3404, 0x360a]

let world: World
let url: string
let rest: Transport
let grpc: GrpcCaller
beforeAll(async () => {
  world = await createWorld('embedded', await load({ 'features.ts': definitions }))
  await world.db.script(`
    insert into lockstep_source.readings (place, at, a, b, c) values
      ('one', '2001-07-01T11:00:00Z', 0.1, -2.3, 1.7), ('two', '2001-07-01T11:00:00Z', ${1 / 3}, 0.7, -1e-6), ('none', '2001-07-01T11:00:00Z', null, 1, 2)
  `)
  await world.materialize('places')
  await world.push('half', 'half')
  const served = await world.serve({}, { grpcPort: 0 })
  url = served.url
  await served.server.whenReady()
  rest = restBinary(url)
  grpc = openGrpc(`127.0.0.1:${served.grpcPort}`)
})
afterAll(async () => {
  grpc?.[Symbol.dispose]()
  await world?.close()
})

describe('a model whose inputs and outputs are float16', () => {
  it('answers entities as ONNX Runtime in Python does, with a missing value as NaN', async () => {
    const entities = ['one', 'two', 'none'].map((place) => ({ place }))
    const { status, body } = await ask(url, '/v1/predict', { model: 'half', entities })
    expect([status, body.predictions?.map(({ probability }) => probability)]).toEqual([
      200,
      [answers[0].probability, answers[1].probability, null],
    ])
    const firsts = body.predictions?.slice(0, 2).map(({ hidden }) => (hidden as number[]).slice(0, 4))
    expect(firsts).toEqual(answers.map(({ hidden }) => hidden))
  })

  it('is described as FP16, and takes and answers its bits over HTTP and gRPC', async () => {
    const { body } = await ask(url, '/v2/models/half')
    expect(body).toMatchObject({ inputs: [{ name: 'features', datatype: 'FP16', shape: [-1, 3] }], outputs: [{ datatype: 'FP16' }, {}] })
    const features = { name: 'features', datatype: 'FP16', shape: [2, 3] }
    expect(await rest.call({ model: 'half', inputs: [{ ...features, data: rowBits }], outputs: ['probability'] })).toMatchObject({
      outputs: [{ name: 'probability', datatype: 'FP16', shape: [2, 1], data: probabilityBits }],
    })
    const raw = await grpc.ask('ModelInfer', {
      model_name: 'half',
      inputs: [features],
      outputs: [{ name: 'probability' }],
      raw_input_contents: [Buffer.from(Uint16Array.from(rowBits).buffer)],
    })
    expect(raw['raw_output_contents']).toEqual([Buffer.from(Uint16Array.from(probabilityBits).buffer)])
  })

  it('answers entities of the Open Inference Protocol in the declared type', async () => {
    const inputs = [{ name: 'place', datatype: 'BYTES', shape: [2], data: ['one', 'two'] }]
    const { body } = await ask(url, '/v2/models/half/infer', { inputs, outputs: [{ name: 'probability' }] })
    expect(body).toMatchObject({ outputs: [{ datatype: 'FP32', data: answers.map(({ probability }) => probability) }] })
  })

  it('answers the same by column, as in a batch', async () => {
    const catalog = await loadCatalog(world.db)
    const model = catalog.model('half')
    const { binding } = bindVersion(catalog, model.spec, pickVersion(model, 1))
    const pool = createProcessPool()
    const log = createLogger('error', { write: () => undefined })
    const open = await openUnserved(() => onnx('half'), { binding, name: 'half@1', operational: {}, pool, log })
    const columns = [0, 1, 2].map((c) => [...answers.map(({ row }) => row[c] ?? null), null])
    const { outputs, failures } = await open.runColumns(columns, 3)
    expect(failures).toEqual([null, null, null])
    expect(outputs[0]).toEqual([answers[0].probability, answers[1].probability, Number.NaN])
    await open.close()
    pool.close()
  })
})
