import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withExternalData } from '../../inference/external-data.ts'
import { parseOnnxMetadata } from '../../inference/onnx-metadata.ts'
import { load } from '../serving/load.ts'
import { onnx } from '../serving/fixtures.ts'
import type { OnnxTensor } from './make-onnx.ts'
import { floats, longs, makeOnnx } from './make-onnx.ts'

let folder: string
let path: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-external-'))
  path = join(folder, 'model.onnx')
  await writeFile(join(folder, 'weights.bin'), Buffer.concat([floats(1, 2, 3), floats(10, 20, 30)]))
  await writeFile(join(folder, 'model.onnx.data'), floats(100, 200, 300))
})
afterAll(async () => await rm(folder, { recursive: true, force: true }))

/** Adds three tensors to the features and sums them up: an initializer, a constant, and one in a branch. */
function sum(first: Partial<OnnxTensor>, second: Partial<OnnxTensor>, third: Partial<OnnxTensor>): Buffer {
  const tensor = (name: string, more: Partial<OnnxTensor>): OnnxTensor => ({ name, type: 'float', dims: [3], ...more })
  const branch = (value: OnnxTensor) => ({
    nodes: [{ type: 'Constant', outputs: [value.name], attributes: { value } }],
    outputs: [{ name: value.name, type: 'float', shape: [3] } as const],
  })
  return makeOnnx({
    graph: {
      nodes: [
        { type: 'Constant', outputs: ['b'], attributes: { value: tensor('b', second) } },
        {
          type: 'If',
          inputs: ['yes'],
          outputs: ['c'],
          attributes: { then_branch: branch(tensor('then', third)), else_branch: branch(tensor('else', { raw: floats(0, 0, 0) })) },
        },
        { type: 'Sum', inputs: ['features', 'a', 'b', 'c'], outputs: ['all'] },
        { type: 'ReduceSum', inputs: ['all', 'axis'], outputs: ['score'], attributes: { keepdims: 1n } },
      ],
      inputs: [{ name: 'features', type: 'float', shape: ['N', 3] }],
      outputs: [{ name: 'score', type: 'float', shape: ['N', 1] }],
      initializers: [
        tensor('a', first),
        { name: 'axis', type: 'int64', dims: [1], raw: longs(1) },
        { name: 'yes', type: 'bool', dims: [], raw: new Uint8Array([1]) },
      ],
    },
  })
}

const inside = { raw: floats(1, 1, 1) }

describe('a model with values in files beside it', () => {
  it('becomes one file that answers the same', async () => {
    const bytes = sum(
      { place: { location: 'weights.bin', length: '12' } },
      { place: { location: 'weights.bin', offset: '12' } },
      {
        place: { location: './model.onnx.data', offset: '0', length: '12', checksum: 'ignored' },
      },
    )
    expect(parseOnnxMetadata(bytes).externalData).toHaveLength(3)
    const whole = await withExternalData(bytes, path)
    expect(parseOnnxMetadata(whole).externalData).toEqual([])
    const model = await load(whole, 'flight', 'delay', [{ name: 'score', type: { kind: 'float32' } }])
    expect(await model.run([[0.5, 0, 0]])).toEqual([[666.5]])
    await model.close()
  })

  it('is left as it is if it has all values itself', async () => {
    for (const bytes of [await onnx('mlp'), sum(inside, inside, inside), Buffer.alloc(0)])
      expect(await withExternalData(bytes, path)).toBe(bytes)
  })

  it.each(['../weights.bin', '/etc/hostname', 'deeper/../../weights.bin', '..', ''])(
    'may not name the file "%s" elsewhere',
    async (location) => {
      const reading = withExternalData(sum(inside, { place: { location } }, inside), path)
      await expect(reading).rejects.toMatchObject({
        code: 'MODEL_INVALID',
        message: expect.stringContaining('not in its own folder') as string,
      })
    },
  )

  it('is not waited for if the file is a FIFO', async () => {
    execFileSync('mkfifo', [join(folder, 'fifo')], { stdio: 'ignore' })
    const reading = withExternalData(sum(inside, { place: { location: 'fifo' } }, inside), path)
    await expect(reading).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('"fifo", which cannot be read: it is not a regular file') as string,
    })
  })

  it('may be no larger than a model, even if its tensors share the bytes of a small file', async () => {
    const place = { location: 'weights.bin', length: '12' }
    const [one, two] = [sum({ place }, inside, inside), sum({ place }, { place }, { place })]
    const refused = { code: 'MODEL_INVALID', message: expect.stringContaining('bytes together with the files beside it') as string }
    await expect(withExternalData(one, path, one.length + 23)).rejects.toMatchObject(refused)
    expect((await withExternalData(one, path, one.length + 24)).length).toBeLessThan(one.length + 24)
    await expect(withExternalData(two, path, two.length + 35)).rejects.toMatchObject(refused)
    expect((await withExternalData(two, path, two.length + 36)).length).toBeLessThan(two.length + 36)
  })

  it('is refused if a file is missing or too short, naming it', async () => {
    const refused = async (place: Readonly<Record<string, string>>) =>
      await withExternalData(sum(inside, { place }, inside), path).then(String, ({ code, message }: { code: string; message: string }) => [
        code,
        message,
      ])
    const named = (code: string, text: string) => [code, expect.stringContaining(text) as string]
    expect(await refused({ location: 'none.bin' })).toEqual(named('FILE_UNREADABLE', '"none.bin"'))
    expect(await refused({ location: 'weights.bin', offset: '20', length: '12' })).toEqual(named('MODEL_INVALID', 'the bytes 20 to 32'))
    expect(await refused({ location: 'weights.bin', offset: '-4' })).toEqual(named('MODEL_INVALID', 'which has 24 bytes'))
    expect(await refused({ location: 'weights.bin', length: 'all' })).toEqual(named('MODEL_INVALID', '"weights.bin"'))
  })
})
