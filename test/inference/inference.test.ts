import { describe, expect, it } from 'vitest'
import { inspectModel } from '../../inference/inspect-model.ts'
import type { FeatureRow } from '../../inference/tensor-writer.ts'
import { onnx } from '../serving/fixtures.ts'
import { load } from '../serving/load.ts'
import { endlessModel, sequenceModel } from './made-models.ts'

describe('inspectModel', () => {
  it('reads names, types and shapes of inputs and outputs', async () => {
    const contract = await inspectModel(await onnx('logistic'))
    expect(contract.inputs).toMatchObject([{ name: 'features', type: 'float32', isTensor: true }])
    expect(contract.inputs[0]?.shape[1]).toBe(3)
    expect(contract.outputs.map(({ name, type, isTensor }) => [name, type, isTensor])).toEqual([
      ['label', 'int64', true],
      ['probabilities', 'float32', true],
    ])
  })

  it('loads a model whose run never ends, without running it', async () => {
    const { outputs } = await inspectModel(endlessModel())
    expect(outputs).toMatchObject([{ name: 'out', type: 'float32' }])
  })

  it('reads the output of ZipMap as the tensor of probabilities', async () => {
    const { outputs } = await inspectModel(await onnx('zipmap'))
    expect(outputs).toMatchObject([{ name: 'output_label' }, { name: 'output_probability', type: 'float32', isTensor: true }])
    expect(outputs[1]?.shape[1]).toBe(2)
  })

  it('distinguishes a sequence from a tensor', async () => {
    const { inputs, outputs } = await inspectModel(sequenceModel())
    expect([...inputs, ...outputs].map(({ isTensor }) => isTensor)).toEqual([true, false])
  })

  it.each([
    ['an empty file', Buffer.alloc(0)],
    ['text', Buffer.from('PK not a model at all')],
    ['noise', Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256))],
  ])('refuses %s as no ONNX model', async (_, bytes) => {
    await expect(inspectModel(bytes)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('refuses a model that was cut off', async () => {
    const bytes = await onnx('mlp')
    await expect(inspectModel(bytes.subarray(0, bytes.length / 2))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('gives up on a file that stalls the runtime', async () => {
    await expect(inspectModel(await onnx('mlp'), { timeoutMs: 1 })).rejects.toThrow('no answer after 1 ms')
  })
})

describe('a loaded model', () => {
  it('gets the numeric features in service order, a null as NaN', async () => {
    const model = await load('identity', 'flight', 'echo')
    const answers = await model.run([
      [1.5, 2, 3.25],
      [null, -7, null],
    ])
    expect(answers).toEqual([[new Float32Array([1.5, 2, 3.25])], [new Float32Array([Number.NaN, -7, Number.NaN])]])
    await model.close()
  })

  it('answers the probability of the second class for a scalar, and both for a vector', async () => {
    const scalar = await load('logistic', 'flight', 'delay')
    const both = await load('logistic', 'flight', 'classes')
    const row: FeatureRow = [2, -1, 0.5]
    const [[probability] = []] = await scalar.run([row])
    const [[label, pair] = []] = await both.run([row])
    expect(pair).toBeInstanceOf(Float32Array)
    expect((pair as Float32Array)[1]).toBe(probability)
    expect(Number((pair as Float32Array)[0]) + Number(probability)).toBeCloseTo(1, 6)
    expect(label).toBe(1n)
    await scalar.close()
    await both.close()
  })

  it('passes every value type through named inputs exactly', async () => {
    const model = await load('named', 'typed', 'typed')
    const rows: FeatureRow[] = [
      [0.1, 9_007_199_254_740_993n, 'Zürich', true, new Float32Array([1, 2])],
      [null, -(2n ** 63n), '', false, null],
    ]
    expect(await model.run(rows)).toEqual([
      [Math.fround(0.1), 9_007_199_254_740_993n, 'Zürich', true, new Float32Array([1, 2])],
      [Number.NaN, -(2n ** 63n), '', false, new Float32Array([Number.NaN, Number.NaN])],
    ])
    await model.close()
  })

  it('names the missing feature if the input has no form for it', async () => {
    const model = await load('named', 'typed', 'typed')
    await expect(model.run([[1, null, '', false, null]])).rejects.toThrow('"count"')
    await model.close()
  })

  it('finishes current runs on close, refuses later ones, and can be closed twice', async () => {
    const model = await load('mlp', 'flight', 'delay')
    const run = model.run([[1, 2, 3]])
    const closed = model.close()
    expect(await run).toHaveLength(1)
    await closed
    await model.close()
    await expect(model.run([[1, 2, 3]])).rejects.toMatchObject({ code: 'MODEL_FAILED' })
  })
})

describe('a run on tensors', () => {
  const three = (...data: number[]) => ({ type: 'float32', dims: [data.length / 3, 3], data: new Float32Array(data) })

  it('answers every output of the file, or the requested ones', async () => {
    const model = await load('logistic', 'flight', 'delay')
    const all = await model.runTensors({ features: three(2, -1, 0.5, 0, 0, 0) })
    expect(Object.keys(all)).toEqual(['label', 'probabilities'])
    expect(all['probabilities']).toMatchObject({ type: 'float32', dims: [2, 2] })
    const some = await model.runTensors({ features: three(2, -1, 0.5) }, ['label'])
    expect(Object.keys(some)).toEqual(['label'])
    expect(some['label']).toMatchObject({ type: 'int64', dims: [1], data: new BigInt64Array([1n]) })
    await model.close()
  })

  it('passes every element type through', async () => {
    const model = await load('named', 'typed', 'typed')
    expect(model.metadata.inputs.map(({ name, type }) => [name, type])).toEqual([
      ['amount', 'float32'],
      ['count', 'int64'],
      ['city', 'string'],
      ['open', 'bool'],
      ['vec', 'float32'],
    ])
    const answers = await model.runTensors({
      amount: { type: 'float32', dims: [2, 1], data: new Float32Array([0.5, Number.NaN]) },
      count: { type: 'int64', dims: [2, 1], data: new BigInt64Array([2n ** 62n + 1n, -1n]) },
      city: { type: 'string', dims: [2], data: ['Zürich', ''] },
      open: { type: 'bool', dims: [2, 1], data: new Uint8Array([1, 0]) },
      vec: { type: 'float32', dims: [2, 2], data: new Float32Array([1, 2, 3, 4]) },
    })
    expect(answers['count_out']?.data).toEqual(new BigInt64Array([2n ** 62n + 1n, -1n]))
    expect(answers['city_out']?.data).toEqual(['Zürich', ''])
    expect(answers['open_out']?.data).toEqual(new Uint8Array([1, 0]))
    expect(answers['vec_out']).toMatchObject({ dims: [2, 2], data: new Float32Array([1, 2, 3, 4]) })
    await model.close()
  })

  it.each([
    ['is missing', {}, undefined],
    ['is not an input', { features: three(1, 2, 3), more: three(1, 2, 3) }, undefined],
    ['is not an output', { features: three(1, 2, 3) }, ['score']],
    ['twice', { features: three(1, 2, 3) }, ['label', 'label']],
    ['is float64[1, 3]', { features: { type: 'float64', dims: [1, 3], data: new Float64Array(3) } }, undefined],
    ['is float32[3]', { features: { type: 'float32', dims: [3], data: new Float32Array(3) } }, undefined],
    ['is float32[1, 2]', { features: { type: 'float32', dims: [1, 2], data: new Float32Array(2) } }, undefined],
    ['is float32[0, 3]', { features: { type: 'float32', dims: [0, 3], data: new Float32Array(0) } }, undefined],
    ['which has 6 elements, but its data has 3', { features: { type: 'float32', dims: [2, 3], data: new Float32Array(3) } }, undefined],
    ['its data has another type', { features: { type: 'float32', dims: [1, 3], data: new Int32Array(3) } }, undefined],
  ])('refuses a tensor that %s', async (said, feeds, outputs) => {
    const model = await load('logistic', 'flight', 'delay')
    const refusal = { code: 'INVALID_REQUEST', message: expect.stringContaining(said) }
    await expect(model.runTensors(feeds as never, outputs)).rejects.toMatchObject(refusal)
    await model.close()
  })
})
