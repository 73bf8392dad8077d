import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
  it('tells of the server', async () => {
    const manifest: { version: string } = (await import('../../../package.json', { with: { type: 'json' } })).default
    const about = { name: 'lockstep', version: manifest.version, extensions: ['binary_tensor_data', 'parameters'] }
    expect(await get('/v2')).toEqual([200, about])
    expect(await get('/v2/')).toEqual([200, about])
    expect(await get('/v2/health/live')).toEqual([200, { live: true }])
    expect(await get('/v2/health/ready')).toEqual([200, { live: true, ready: true }])
  })

  it('tells of a model, by itself and by version', async () => {
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

  it('refuses what is no body of an infer call', async () => {
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

  it('takes a body that is compressed or comes in pieces', async () => {
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

  it('answers one output in binary and another in JSON, with the length of the JSON in a header', async () => {
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
