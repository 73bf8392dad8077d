import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OpenApi } from '../../../serving/protocols/http/openapi/openapi.ts'
import type { OipWorld } from './world.ts'
import { createOipWorld } from './world.ts'

type Body = NonNullable<RequestInit['body']>

let world: OipWorld
beforeAll(async () => {
  world = await createOipWorld(10_000)
})
afterAll(() => world?.close())

async function get(path: string, init?: RequestInit): Promise<[number, unknown]> {
  const response = await fetch(world.url + path, init)
  return [response.status, await response.json()]
}
const post = (path: string, body: Body, headers: Record<string, string> = {}) => get(path, { method: 'POST', body, headers })

const inputs = [{ name: 'features', shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] }]
const infer = '/v2/models/echo/versions/1/infer'

describe('the Open Inference Protocol over REST', () => {
  it('describes the server', async () => {
    const manifest: { version: string } = (await import('../../../package.json', { with: { type: 'json' } })).default
    const about = { name: 'lockstep', version: manifest.version, extensions: ['binary_tensor_data', 'parameters'] }
    expect(await get('/v2')).toEqual([200, about])
    expect(await get('/v2/')).toEqual([200, about])
    expect(await get('/v2/health/live')).toEqual([200, { live: true }])
    expect(await get('/v2/health/ready')).toEqual([200, { live: true, ready: true }])
  })

  it('describes a model, with and without a version', async () => {
    expect(await get('/v2/models/typed')).toEqual([
      200,
      {
        name: 'typed',
        versions: ['1'],
        platform: 'onnx_onnxv1',
        inputs: [
          { name: 'amount', datatype: 'FP32', shape: [-1, 1] },
          { name: 'count', datatype: 'INT64', shape: [-1, 1] },
          { name: 'city', datatype: 'BYTES', shape: [-1] },
          { name: 'open', datatype: 'BOOL', shape: [-1, 1] },
          { name: 'vec', datatype: 'FP32', shape: [-1, 2] },
        ],
        outputs: [
          { name: 'amount_out', datatype: 'FP32', shape: [-1, 1] },
          { name: 'count_out', datatype: 'INT64', shape: [-1, 1] },
          { name: 'city_out', datatype: 'BYTES', shape: [-1] },
          { name: 'open_out', datatype: 'BOOL', shape: [-1, 1] },
          { name: 'vec_out', datatype: 'FP32', shape: [-1, 2] },
        ],
      },
    ])
    expect(await get('/v2/models/echo/versions/1')).toMatchObject([200, { versions: ['1', '2'], outputs: [{ name: 'out' }] }])
    expect(await get('/v2/models/echo/ready')).toEqual([200, { name: 'echo', ready: true }])
    expect(await get('/v2/models/echo/versions/1/ready')).toEqual([200, { name: 'echo', ready: true }])
  })

  it('refuses JSON that is not UTF-8, and does not take it for another name', async () => {
    const body = Buffer.from('{"inputs": [{"name": "airport", "datatype": "BYTES", "shape": [1], "data": ["AT?L"]}]}')
    body[body.indexOf('?')] = 0xff
    const response = await fetch(`${world.url}/v2/models/echo/infer`, { method: 'POST', body: new Uint8Array(body) })
    expect([response.status, await response.json()]).toEqual([400, { error: expect.stringContaining('not UTF-8') }])
  })

  it('lists the repository', async () => {
    const ready = { state: 'READY', reason: '' }
    const all = [
      { name: 'classes', version: '1', ...ready },
      { name: 'echo', version: '1', ...ready },
      { name: 'echo', version: '2', ...ready },
      { name: 'strict', version: '1', ...ready },
      { name: 'typed', version: '1', ...ready },
    ]
    expect(await post('/v2/repository/index', '')).toEqual([200, all])
    expect(await post('/v2/repository/index', '{"ready":true}')).toEqual([200, all])
    // in chunks, of which there are none
    const empty = { method: 'POST', body: new Blob([]).stream(), duplex: 'half' } as const
    expect(await get('/v2/repository/index', empty)).toEqual([200, all])
  })

  it('takes no form for a call', async () => {
    const [status] = await post('/v2/models/echo/infer', '{}', { 'content-type': 'multipart/form-data; boundary=a' })
    expect(status).toBe(415)
  })

  it.each([
    ['/v2/models/ecko', 404, 'no model "ecko"'],
    ['/v2/models/echo/versions/7', 404, '7'],
    ['/v2/models/echo/versions/best/ready', 404, 'best'],
    ['/v2/models/echo/stats', 404, '/v2/models/echo/stats'],
    [infer, 405, 'POST'],
  ])('refuses GET %s with %i, in its own shape', async (path, status, says) => {
    expect(await get(path)).toEqual([status, { error: expect.stringContaining(says) }])
  })

  it('refuses an invalid body of an infer call', async () => {
    const refused = async (body: Body, headers: Record<string, string>, status: number, says: string) => {
      expect(await post(infer, body, headers)).toEqual([status, { error: expect.stringContaining(says) }])
    }
    await refused('', {}, 400, 'not JSON')
    await refused('{"inputs":5}', {}, 400, '"inputs"')
    await refused('{}', { 'inference-header-content-length': '-2' }, 400, '"-2"')
    await refused('{}', { 'inference-header-content-length': '3' }, 400, '2 bytes')
    await refused('x'.repeat(10_001), {}, 413, '10000')
    await refused(gzipSync('x'.repeat(10_001)), { 'content-encoding': 'gzip' }, 413, '10000')
    await refused('x', { 'content-encoding': 'gzip' }, 400, 'gzip')
  })

  it('accepts a compressed or chunked body', async () => {
    const body = JSON.stringify({ inputs })
    expect(await post(infer, gzipSync(body), { 'content-encoding': 'gzip' })).toMatchObject([200, { outputs: [{ data: [1, 2, 3] }] }])
    const pieces = new ReadableStream({
      async start(controller) {
        for (const part of [body.slice(0, 9), body.slice(9)]) {
          controller.enqueue(Buffer.from(part))
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
        controller.close()
      },
    })
    const answer = await get(infer, { method: 'POST', body: pieces, duplex: 'half' })
    expect(answer).toMatchObject([200, { outputs: [{ data: [1, 2, 3] }] }])
  })

  it('answers one output in binary and another in JSON, with its length in a header', async () => {
    const body = JSON.stringify({ inputs, outputs: [{ name: 'i8' }, { name: 'out', parameters: { binary_data: true } }] })
    const response = await fetch(`${world.url}/v2/models/echo/versions/2/infer`, { method: 'POST', body })
    expect(response.headers.get('content-type')).toBe('application/octet-stream')
    const bytes = Buffer.from(await response.arrayBuffer())
    const length = Number(response.headers.get('inference-header-content-length'))
    expect(JSON.parse(bytes.subarray(0, length).toString())).toMatchObject({
      outputs: [
        { name: 'i8', data: [1, 2, 3] },
        { name: 'out', parameters: { binary_data_size: 12 } },
      ],
    })
    expect(bytes.subarray(length).toString('hex')).toBe('0000803f0000004000004040')
  })

  it('carries x-request-id as every route does', async () => {
    const { headers } = await fetch(`${world.url}/v2/health/live`, { headers: { 'x-request-id': 'mine' } })
    expect(headers.get('x-request-id')).toBe('mine')
  })
})

/** The bytes of texts as they are, and of whatever hexadecimal numbers follow. */
const bytesOf = (text: string, hex: string) => Buffer.concat([Buffer.from(text), Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')])

/** Sends a body whose JSON is of that length, and gives the answer's bytes. */
async function exchange(path: string, body: Buffer, jsonLength: number): Promise<{ answer: Buffer; jsonLength: string | null }> {
  const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(jsonLength) }
  const response = await fetch(world.url + path, { method: 'POST', body: new Uint8Array(body), headers })
  expect(response.headers.get('content-type')).toBe('application/octet-stream')
  const answer = Buffer.from(await response.arrayBuffer())
  expect(response.headers.get('content-length')).toBe(String(answer.length))
  return { answer, jsonLength: response.headers.get('inference-header-content-length') }
}

describe('bytes that were written by hand', () => {
  it('are read from the wire and answered byte for byte: one tensor, in hexadecimal', async () => {
    // {"inputs":[{"name":"features","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}],
    // "parameters":{"binary_data_output":true}}, and then 1, -2.5 and 0.15625
    const body = bytesOf(
      '',
      `7b22 696e70757473 223a 5b7b 22 6e616d65 22 3a 22 6665617475726573 22 2c 22 7368617065 22 3a 5b312c335d 2c
       22 6461746174797065 22 3a 22 46503332 22 2c 22 706172616d6574657273 22 3a
       7b22 62696e6172795f646174615f73697a65 22 3a 3132 7d 7d5d 2c
       22 706172616d6574657273 22 3a 7b 22 62696e6172795f646174615f6f7574707574 22 3a 74727565 7d 7d
       0000803f 000020c0 0000203e`,
    )
    // {"model_name":"echo","model_version":"1","outputs":[{"name":"out","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}]}
    const golden = bytesOf(
      '',
      `7b 22 6d6f64656c5f6e616d65 22 3a 22 6563686f 22 2c 22 6d6f64656c5f76657273696f6e 22 3a 22 31 22 2c
       22 6f757470757473 22 3a 5b7b 22 6e616d65 22 3a 22 6f7574 22 2c 22 7368617065 22 3a 5b312c335d 2c
       22 6461746174797065 22 3a 22 46503332 22 2c 22 706172616d6574657273 22 3a
       7b 22 62696e6172795f646174615f73697a65 22 3a 3132 7d 7d5d 7d
       0000803f 000020c0 0000203e`,
    )
    const { answer, jsonLength } = await exchange(infer, body, 142)
    expect(answer.toString('hex')).toBe(golden.toString('hex'))
    expect(jsonLength).toBe('137')
  })

  it('may hold consecutive tensors of several datatypes, with one in JSON between', async () => {
    const tensor = (name: string, shape: string, datatype: string, rest: string) =>
      `{"name":"${name}","shape":[${shape}],"datatype":"${datatype}",${rest}}`
    const size = (bytes: number) => `"parameters":{"binary_data_size":${bytes}}`
    // 2^53 + 1 and the least INT64; "é🛬" and ""; true and false
    const count = '0100000000002000 0000000000000080'
    const city = '06000000 c3a9f09f9bac 00000000'
    const open = '01 00'
    const vec = '0000803f 00000040 000020c0 0000203e'
    const inputsJson = [
      tensor('count', '2,1', 'INT64', size(16)),
      tensor('amount', '2,1', 'FP32', '"data":[0.5,1]'),
      tensor('city', '2', 'BYTES', size(14)),
      tensor('open', '2,1', 'BOOL', size(2)),
      tensor('vec', '2,2', 'FP32', size(16)),
    ]
    const json = `{"id":"q","inputs":[${inputsJson.join(',')}],"outputs":[{"name":"vec_out"},{"name":"city_out"},{"name":"open_out"},{"name":"amount_out","parameters":{"binary_data":false}},{"name":"count_out"}],"parameters":{"binary_data_output":true}}`
    const outputsJson = [
      tensor('vec_out', '2,2', 'FP32', size(16)),
      tensor('city_out', '2', 'BYTES', size(14)),
      tensor('open_out', '2,1', 'BOOL', size(2)),
      tensor('amount_out', '2,1', 'FP32', '"data":[0.5,1]'),
      tensor('count_out', '2,1', 'INT64', size(16)),
    ]
    const answered = `{"model_name":"typed","model_version":"1","id":"q","outputs":[${outputsJson.join(',')}]}`
    const { answer, jsonLength } = await exchange('/v2/models/typed/infer', bytesOf(json, count + city + open + vec), json.length)
    expect(answer.toString('latin1')).toBe(bytesOf(answered, vec + city + open + count).toString('latin1'))
    expect(jsonLength).toBe(String(answered.length))
  })

  it.each([
    ['u8', 'UINT8', '00 01 64'],
    ['u16', 'UINT16', '0000 0100 6400'],
    ['u32', 'UINT32', '00000000 01000000 64000000'],
    ['u64', 'UINT64', '0000000000000000 0100000000000000 6400000000000000'],
    ['i8', 'INT8', '00 01 64'],
    ['i16', 'INT16', '0000 0100 6400'],
    ['i32', 'INT32', '00000000 01000000 64000000'],
    ['i64', 'INT64', '0000000000000000 0100000000000000 6400000000000000'],
    ['f16', 'FP16', '0000 003c 4056'],
    ['out', 'FP32', '00000000 0000803f 0000c842'],
    ['f64', 'FP64', '0000000000000000 000000000000f03f 0000000000005940'],
    ['flag', 'BOOL', '00 01 01'],
    ['text', 'BYTES', '01000000 30 01000000 31 03000000 313030'],
  ])('come as the output %s of %s', async (name, datatype, hex) => {
    const tensor = bytesOf('', hex)
    const json = `{"inputs":[{"name":"features","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}],"outputs":[{"name":"${name}","parameters":{"binary_data":true}}]}`
    const { answer } = await exchange('/v2/models/echo/versions/2/infer', bytesOf(json, '00000000 0000803f 0000c842'), json.length)
    const answered = `{"model_name":"echo","model_version":"2","outputs":[{"name":"${name}","shape":[1,3],"datatype":"${datatype}","parameters":{"binary_data_size":${tensor.length}}}]}`
    expect(answer.toString('latin1')).toBe(answered + tensor.toString('latin1'))
  })
})

describe('the examples of the OpenAPI document', () => {
  it('are of the registry that is served, and are answered', async () => {
    const document = (await get('/openapi.json'))[1] as OpenApi
    const answered = await Promise.all(
      [
        '/v1/features',
        '/v1/predict',
        '/v1/explain',
        '/v1/sources/{name}/events',
        '/get-online-features',
        '/push',
        '/write-to-online-store',
        '/v2/models/{model}/infer',
        '/v2/models/{model}/versions/{version}/infer',
        '/v1/models/{name}/promote',
      ].map(async (path) => {
        const { requestBody, parameters = [] } = document.paths[path]?.['post'] ?? {}
        const sent = parameters.reduce((at, each) => ('in' in each ? at.replace(`{${each.name}}`, each.example ?? '') : at), path)
        const response = await fetch(world.url + sent, {
          method: 'POST',
          body: JSON.stringify(requestBody?.content['application/json']?.example),
          headers: { 'content-type': 'application/json' },
        })
        return [path, response.status, response.ok ? '' : await response.text()]
      }),
    )
    expect(answered.filter(([, code]) => code !== 200)).toEqual([])
  })

  it('are in the fields of the page, paths included', async () => {
    const page = await (await fetch(`${world.url}/docs`)).text()
    expect(page).toMatch(/<input name="model" data-in="path" value="classes" +required/)
    expect(page).toMatch(/<textarea [^>]*>\{\s+&quot;model&quot;: &quot;classes&quot;/)
  })
})
