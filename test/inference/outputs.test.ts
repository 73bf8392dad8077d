import { describe, expect, it } from 'vitest'
import type { FeatureRow } from '../../inference/tensor-writer.ts'
import { load } from '../serving/load.ts'
import { longs, makeOnnx } from './make-onnx.ts'

const rows: FeatureRow[] = [
  [0.5, 9_007_199_254_740_993n, 'Zürich', true, new Float32Array([1, 3])],
  [-2, -7n, '', false, new Float32Array([4, 2])],
  [null, 0n, 'x', true, null],
]

describe('a model of several outputs', () => {
  it('answers label, score and probabilities per row, from inputs of other types', async () => {
    const bytes = makeOnnx({
      opsets: { '': 13 },
      graph: {
        nodes: [
          { type: 'Softmax', inputs: ['vec'], outputs: ['probabilities'], attributes: { axis: 1n } },
          { type: 'ArgMax', inputs: ['vec'], outputs: ['label'], attributes: { axis: 1n, keepdims: 0n } },
          { type: 'Add', inputs: ['amount', 'one'], outputs: ['score'] },
          { type: 'Identity', inputs: ['city'], outputs: ['name'] },
          { type: 'Identity', inputs: ['open'], outputs: ['class'] },
          { type: 'Identity', inputs: ['count'], outputs: ['total'] },
        ],
        inputs: [
          { name: 'vec', type: 'float', shape: ['N', 2] },
          { name: 'amount', type: 'double', shape: ['N', 1] },
          { name: 'city', type: 'string', shape: ['N', 1] },
          { name: 'open', type: 'int32', shape: ['N'] },
          { name: 'count', type: 'double', shape: ['N'] },
        ],
        outputs: [
          { name: 'probabilities', type: 'float', shape: ['N', 2] },
          { name: 'label', type: 'int64', shape: ['N'] },
          { name: 'score', type: 'double', shape: ['N', 1] },
          { name: 'name', type: 'string', shape: ['N', 1] },
          { name: 'class', type: 'int32', shape: ['N'] },
          { name: 'total', type: 'double', shape: ['N'] },
        ],
        initializers: [{ name: 'one', type: 'double', dims: [1], raw: new Uint8Array(Float64Array.of(1).buffer) }],
      },
    })
    const model = await load(bytes, 'typed', 'typed', [
      { name: 'label', type: { kind: 'int64' } },
      { name: 'probabilities', type: { kind: 'vector', length: 2 } },
      { name: 'score', type: { kind: 'float64' } },
      { name: 'name', type: { kind: 'string' } },
      { name: 'class', type: { kind: 'int64' } },
      { name: 'total', type: { kind: 'float64' } },
    ])
    const answers = await model.run(rows)
    expect(answers.map(([label, , score, name, of, total]) => [label, score, name, of, total])).toEqual([
      [1n, 1.5, 'Zürich', 1n, 9_007_199_254_740_992],
      [0n, -1, '', 0n, -7],
      [expect.any(BigInt), Number.NaN, 'x', 1n, 0],
    ])
    const probabilities = answers.map((answer) => [...(answer[1] as Float32Array)])
    expect([probabilities[0], probabilities[2]]).toEqual([
      [expect.closeTo(0.1192, 4), expect.closeTo(0.8808, 4)],
      [Number.NaN, Number.NaN],
    ])
    // each row alone says the same
    for (const [i, row] of rows.entries()) expect((await model.run([row]))[0]).toEqual(answers[i])
    await model.close()
  })

  it('takes a vector as several axes, and answers one of float64', async () => {
    const bytes = makeOnnx({
      opsets: { '': 13 },
      graph: {
        nodes: [
          { type: 'Cast', inputs: ['features'], outputs: ['exact'], attributes: { to: 11n } },
          { type: 'Transpose', inputs: ['exact'], outputs: ['turned'], attributes: { perm: [0n, 2n, 1n] } },
        ],
        inputs: [{ name: 'features', type: 'float', shape: ['N', 'T', 1] }],
        outputs: [{ name: 'turned', type: 'double', shape: ['N', 1, 'T'] }],
      },
    })
    const model = await load(bytes, 'flight', 'delay', [{ name: 'turned', type: { kind: 'vector', length: 3 } }])
    expect(
      await model.run([
        [1, 2, 3.1],
        [null, 5, 6],
      ]),
    ).toEqual([[new Float32Array([1, 2, 3.1])], [new Float32Array([Number.NaN, 5, 6])]])
    await model.close()
  })

  it('answers the positive class of two, and a full output, from one packed input', async () => {
    const bytes = makeOnnx({
      opsets: { '': 13, 'ai.onnx.ml': 1 },
      graph: {
        nodes: [
          {
            type: 'LinearClassifier',
            domain: 'ai.onnx.ml',
            inputs: ['features'],
            outputs: ['label', 'scores'],
            attributes: { coefficients: [-1, 0, 0, 1, 0, 0], intercepts: [0, 0], classlabels_ints: [10n, 20n], post_transform: 'SOFTMAX' },
          },
          { type: 'ReduceSum', inputs: ['features', 'axis'], outputs: ['sum'], attributes: { keepdims: 1n } },
        ],
        inputs: [{ name: 'features', type: 'float', shape: ['N', 3] }],
        outputs: [
          { name: 'label', type: 'int64', shape: ['N'] },
          { name: 'scores', type: 'float', shape: ['N', 2] },
          { name: 'sum', type: 'float', shape: ['N', 1] },
        ],
        initializers: [{ name: 'axis', type: 'int64', dims: [1], raw: longs(1) }],
      },
    })
    const model = await load(bytes, 'flight', 'delay', [
      { name: 'sum', type: { kind: 'float32' } },
      { name: 'scores', type: { kind: 'float64' } },
      { name: 'label', type: { kind: 'int64' } },
    ])
    expect(
      await model.run([
        [1, 2, 3],
        [-1, 0, 0.5],
      ]),
    ).toEqual([
      [6, expect.closeTo(0.8808, 4), 20n],
      [-0.5, expect.closeTo(0.1192, 4), 10n],
    ])
    await model.close()
  })
})
