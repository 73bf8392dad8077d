import { floats, longs, makeOnnx } from './make-onnx.ts'

const features = { name: 'features', type: 'float', shape: ['N', 3] } as const
const probabilities = { name: 'probabilities', type: 'float', shape: ['N', 1] } as const
const score = { name: 'score', type: 'float', shape: ['N', 1] } as const

/** Regression trees over three features, all full, with thresholds and leaves that differ: `score`, [N, 1]. */
export function treeModel(trees: number, depth: number): Buffer {
  const nodes = 2 ** (depth + 1) - 1
  const inner = 2 ** depth - 1
  const all = Array.from({ length: trees * nodes }, (_, at) => ({ tree: Math.floor(at / nodes), node: at % nodes }))
  const leaves = all.filter(({ node }) => node >= inner)
  const noise = ({ tree, node }: { tree: number; node: number }) => Math.sin(tree * 7919 + node * 104_729)
  const int = (values: readonly number[]) => values.map(BigInt)
  return makeOnnx({
    opsets: { '': 15, 'ai.onnx.ml': 3 },
    graph: {
      inputs: [features],
      outputs: [score],
      nodes: [
        {
          type: 'TreeEnsembleRegressor',
          domain: 'ai.onnx.ml',
          inputs: ['features'],
          outputs: ['score'],
          attributes: {
            n_targets: 1n,
            nodes_treeids: int(all.map(({ tree }) => tree)),
            nodes_nodeids: int(all.map(({ node }) => node)),
            nodes_featureids: int(all.map(({ node }) => node % 3)),
            nodes_values: all.map((at) => noise(at) * 2),
            nodes_modes: all.map(({ node }) => (node < inner ? 'BRANCH_LEQ' : 'LEAF')),
            nodes_truenodeids: int(all.map(({ node }) => (node < inner ? 2 * node + 1 : 0))),
            nodes_falsenodeids: int(all.map(({ node }) => (node < inner ? 2 * node + 2 : 0))),
            target_treeids: int(leaves.map(({ tree }) => tree)),
            target_nodeids: int(leaves.map(({ node }) => node)),
            target_ids: int(leaves.map(() => 0)),
            target_weights: leaves.map(noise),
          },
        },
      ],
    },
  })
}

/** Answers each row that number in `probabilities`, [N, 1], whatever its finite features are. */
export function constantModel(value: number, width = 3): Buffer {
  return makeOnnx({
    graph: {
      inputs: [{ ...features, shape: ['N', width] }],
      outputs: [probabilities],
      initializers: [
        { name: 'nothing', type: 'float', dims: [width, 1], raw: floats(...Array.from({ length: width }, () => 0)) },
        { name: 'value', type: 'float', dims: [1], raw: floats(value) },
      ],
      nodes: [
        { type: 'MatMul', inputs: ['features', 'nothing'], outputs: ['zero'] },
        { type: 'Add', inputs: ['zero', 'value'], outputs: ['probabilities'] },
      ],
    },
  })
}

/** Passes its rows through, and fails for more rows than these in a run: the sum with a slice of as many rows. */
export function limitedModel(rows: number): Buffer {
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [{ name: 'out', type: 'float', shape: ['N', 3] }],
      initializers: [
        { name: 'zeros', type: 'float', dims: [rows, 3], raw: new Uint8Array(rows * 12) },
        { name: 'none', type: 'int64', dims: [1], raw: longs(0) },
        { name: 'one', type: 'int64', dims: [1], raw: longs(1) },
      ],
      nodes: [
        { type: 'Shape', inputs: ['features'], outputs: ['shape'] },
        { type: 'Slice', inputs: ['shape', 'none', 'one'], outputs: ['count'] },
        { type: 'Slice', inputs: ['zeros', 'none', 'count'], outputs: ['slice'] },
        { type: 'Add', inputs: ['features', 'slice'], outputs: ['out'] },
      ],
    },
  })
}

/**
 * Subtracts from each value the mean of its column over all rows of the run: what one row is answered depends on those
 * beside it.
 */
export function centeringModel(): Buffer {
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [{ name: 'out', type: 'float', shape: ['N', 3] }],
      nodes: [
        { type: 'ReduceMean', inputs: ['features'], outputs: ['mean'], attributes: { axes: [0n], keepdims: 1n } },
        { type: 'Sub', inputs: ['features', 'mean'], outputs: ['out'] },
      ],
    },
  })
}

/** Sums the features of each row in `probabilities`, [N, 1], after it has quantized them by their range in the run. */
export function quantizedModel(): Buffer {
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [probabilities],
      initializers: [{ name: 'ones', type: 'float', dims: [3, 1], raw: floats(1, 1, 1) }],
      nodes: [
        { type: 'DynamicQuantizeLinear', inputs: ['features'], outputs: ['quantized', 'scale', 'zero'] },
        { type: 'DequantizeLinear', inputs: ['quantized', 'scale', 'zero'], outputs: ['rounded'] },
        { type: 'MatMul', inputs: ['rounded', 'ones'], outputs: ['probabilities'] },
      ],
    },
  })
}

/** Fails on rows whose last feature is above a million, by an index that is out of bounds. */
export function failingModel(): Buffer {
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [probabilities],
      initializers: [
        { name: 'weights', type: 'float', dims: [3, 1], raw: floats(0, 0, 1e-6) },
        { name: 'answers', type: 'float', dims: [1], raw: floats(0.5) },
      ],
      nodes: [
        { type: 'MatMul', inputs: ['features', 'weights'], outputs: ['scaled'] },
        { type: 'Cast', inputs: ['scaled'], outputs: ['index'], attributes: { to: 7n } },
        { type: 'Gather', inputs: ['answers', 'index'], outputs: ['probabilities'], attributes: { axis: 0n } },
      ],
    },
  })
}

/** Attention of each row to all others: its matrix has an element for each pair of rows. */
export function pairingModel(): Buffer {
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [{ name: 'out', type: 'float', shape: ['N', 3] }],
      nodes: [
        { type: 'Transpose', inputs: ['features'], outputs: ['columns'], attributes: { perm: [1n, 0n] } },
        { type: 'MatMul', inputs: ['features', 'columns'], outputs: ['pairs'] },
        { type: 'Softmax', inputs: ['pairs'], outputs: ['weights'] },
        { type: 'MatMul', inputs: ['weights', 'features'], outputs: ['out'] },
      ],
    },
  })
}

const countNodes = [
  { type: 'Gather', inputs: ['features', 'column'], outputs: ['last'], attributes: { axis: 1n } },
  { type: 'ReduceMax', inputs: ['last'], outputs: ['most'], attributes: { keepdims: 0n } },
  { type: 'Cast', inputs: ['most'], outputs: ['count'], attributes: { to: 7n } },
]

/**
 * A model that runs a loop `rounds` times, whatever its input. By default the greatest value of its last feature is the
 * number of rounds: 4e18 runs forever.
 */
export function endlessModel(rounds?: number): Buffer {
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [{ name: 'out', type: 'float', shape: ['N', 3] }],
      initializers: [
        { name: 'yes', type: 'bool', dims: [], raw: new Uint8Array([1]) },
        { name: 'column', type: 'int64', dims: [1], raw: longs(2) },
        ...(rounds === undefined ? [] : [{ name: 'count', type: 'int64', dims: [], raw: longs(rounds) } as const]),
      ],
      nodes: [
        ...(rounds === undefined ? countNodes : []),
        {
          type: 'Loop',
          inputs: ['count', 'yes', 'features'],
          outputs: ['out'],
          attributes: {
            body: {
              inputs: [
                { name: 'i', type: 'int64', shape: [] },
                { name: 'on', type: 'bool', shape: [] },
                { name: 'before', type: 'float', shape: ['N', 3] },
              ],
              outputs: [
                { name: 'go', type: 'bool', shape: [] },
                { name: 'after', type: 'float', shape: ['N', 3] },
              ],
              initializers: [{ name: 'one', type: 'float', dims: [1], raw: floats(1) }],
              nodes: [
                { type: 'Identity', inputs: ['on'], outputs: ['go'] },
                { type: 'Mul', inputs: ['before', 'one'], outputs: ['after'] },
              ],
            },
          },
        },
      ],
    },
  })
}

/** Takes rows of any length in `vec`. Its run never ends, unless rows have one element. */
export function endlessLongRows(): Buffer {
  const vec = { name: 'vec', type: 'float', shape: ['N', 'T'] } as const
  return makeOnnx({
    graph: {
      inputs: [vec],
      outputs: [{ ...vec, name: 'out' }],
      initializers: [
        { name: 'yes', type: 'bool', dims: [], raw: new Uint8Array([1]) },
        { name: 'axis', type: 'int64', dims: [], raw: longs(1) },
        { name: 'many', type: 'int64', dims: [], raw: longs(4e18) },
      ],
      nodes: [
        { type: 'Shape', inputs: ['vec'], outputs: ['shape'] },
        { type: 'Gather', inputs: ['shape', 'axis'], outputs: ['length'], attributes: { axis: 0n } },
        { type: 'Sub', inputs: ['length', 'axis'], outputs: ['more'] },
        { type: 'Mul', inputs: ['more', 'many'], outputs: ['count'] },
        {
          type: 'Loop',
          inputs: ['count', 'yes', 'vec'],
          outputs: ['out'],
          attributes: {
            body: {
              inputs: [
                { name: 'i', type: 'int64', shape: [] },
                { name: 'on', type: 'bool', shape: [] },
                { ...vec, name: 'before' },
              ],
              outputs: [
                { name: 'go', type: 'bool', shape: [] },
                { ...vec, name: 'after' },
              ],
              nodes: [
                { type: 'Identity', inputs: ['on'], outputs: ['go'] },
                { type: 'Identity', inputs: ['before'], outputs: ['after'] },
              ],
            },
          },
        },
      ],
    },
  })
}

/** A model whose output is a sequence of tensors. */
export function sequenceModel(): Buffer {
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [{ name: 'out', sequence: true, type: 'float', shape: ['N', 3] }],
      nodes: [{ type: 'SequenceConstruct', inputs: ['features'], outputs: ['out'] }],
    },
  })
}

/** Takes a millisecond or more for each row: a chain of products of matrices. `score`, [N]. */
export function chainModel(): Buffer {
  const [size, length] = [96, 80]
  const identity = Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0))
  return makeOnnx({
    graph: {
      inputs: [features],
      outputs: [{ name: 'score', type: 'float', shape: ['N'] }],
      initializers: [
        { name: 'spread', type: 'float', dims: [3, size * size], raw: floats(...Array.from({ length: 3 * size * size }, () => 1)) },
        { name: 'square', type: 'int64', dims: [3], raw: longs(-1, size, size) },
        { name: 'identity', type: 'float', dims: [size, size], raw: floats(...identity) },
      ],
      nodes: [
        { type: 'MatMul', inputs: ['features', 'spread'], outputs: ['flat'] },
        { type: 'Reshape', inputs: ['flat', 'square'], outputs: ['x0'] },
        ...Array.from({ length }, (_, at) => ({ type: 'MatMul', inputs: [`x${at}`, 'identity'], outputs: [`x${at + 1}`] })),
        { type: 'ReduceMean', inputs: [`x${length}`], outputs: ['score'], attributes: { axes: [1n, 2n], keepdims: 0n } },
      ],
    },
  })
}

/** A classifier with its weights in `weights.bin`, and a map of its probabilities. */
export function splitModel(): { readonly bytes: Buffer; readonly weights: Uint8Array } {
  const bytes = makeOnnx({
    opsets: { '': 15, 'ai.onnx.ml': 3 },
    graph: {
      inputs: [features],
      outputs: [
        { name: 'label', type: 'int64', shape: ['N'] },
        { name: 'probabilities', sequence: true, type: 'float', shape: [] },
      ],
      initializers: [{ name: 'weights', type: 'float', dims: [3, 2] }],
      nodes: [
        { type: 'MatMul', inputs: ['features', 'weights'], outputs: ['scores'] },
        { type: 'Softmax', inputs: ['scores'], outputs: ['chances'] },
        { type: 'ArgMax', inputs: ['scores'], outputs: ['label'], attributes: { axis: 1n, keepdims: 0n } },
        {
          type: 'ZipMap',
          domain: 'ai.onnx.ml',
          inputs: ['chances'],
          outputs: ['probabilities'],
          attributes: { classlabels_strings: ['on time', 'late'] },
        },
      ],
    },
  })
  return { bytes, weights: floats(1, 2, 3, 4, 5, 6) }
}
