import { makeOnnx } from '../../test/inference/make-onnx.ts'

/**
 * A perceptron with one hidden layer: `features` [N, inputs] to `score` [N, 1]. Its weights are all different, and so
 * small that features of up to 2^31 give scores strictly between 0 and 1.
 */
export function perceptron(inputs: number, hidden: number): Buffer {
  const weights = (name: string, greatest: number, ...dims: number[]) => {
    const size = dims.reduce((product, dim) => product * dim, 1)
    return {
      name,
      type: 'float',
      dims,
      raw: Buffer.from(Float32Array.from({ length: size }, (_, i) => Math.sin(i * 7919) * greatest).buffer),
    } as const
  }
  return makeOnnx({
    graph: {
      inputs: [{ name: 'features', type: 'float', shape: ['N', inputs] }],
      outputs: [{ name: 'score', type: 'float', shape: ['N', 1] }],
      initializers: [
        weights('w1', 1e-9, inputs, hidden),
        weights('b1', 1, hidden),
        weights('w2', 1 / hidden, hidden, 1),
        weights('b2', 1, 1),
      ],
      nodes: [
        { type: 'Gemm', inputs: ['features', 'w1', 'b1'], outputs: ['sums'] },
        { type: 'Relu', inputs: ['sums'], outputs: ['hidden'] },
        { type: 'Gemm', inputs: ['hidden', 'w2', 'b2'], outputs: ['logit'] },
        { type: 'Sigmoid', inputs: ['logit'], outputs: ['score'] },
      ],
    },
  })
}
