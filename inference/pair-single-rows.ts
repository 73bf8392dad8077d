import { fixedSize } from '../registry/model-contract.ts'
import type { ModelSession } from './model-session.ts'
import { parseOnnxMetadata } from './onnx-metadata.ts'
import type { Tensors } from './tensor-value.ts'
import { joinTensors, tensorRows } from './tensor-value.ts'

/**
 * What ONNX Runtime 1.30 adds up in another order for one row than for several: measured, a row in runs of 2 to 128 has one answer to the bit, and alone another, by some 1e-7 for
 * probabilities and by more where the inputs are large and cancel out.
 */
const linear: ReadonlySet<string> = new Set(['ai.onnx.ml.LinearClassifier', 'ai.onnx.ml.LinearRegressor'])
/** What else such models are made of, none of which looks at other rows: a row that is there twice changes nothing. */
const rowByRow: ReadonlySet<string> = new Set([
  ...linear,
  'ai.onnx.ml.Imputer',
  'ai.onnx.ml.Normalizer',
  'ai.onnx.ml.Scaler',
  'Cast',
  'Identity',
  'Sigmoid',
])

/**
 * A linear model that gives a row one answer, whatever rows are beside it: one that is alone runs beside itself. Any other model is given back as it is, as its answers do not
 * depend on that, or are for its trial to judge.
 *
 * @param bytes what the session was loaded from
 */
export function pairSingleRows(session: ModelSession, bytes: Uint8Array): ModelSession {
  if (!isLinear(bytes) || session.metadata.inputs.some(({ shape }) => shape.length === 0 || fixedSize(shape[0]) !== null)) return session
  return {
    ...session,
    async run(feeds, fetches) {
      if (!Object.values(feeds).every(({ dims }) => dims[0] === 1)) return await session.run(feeds, fetches)
      const { tensors, ms } = await session.run(
        eachTensor(feeds, (tensor) => joinTensors([tensor, tensor])),
        fetches,
      )
      return { tensors: eachTensor(tensors, (tensor) => (tensor.dims[0] === 2 ? tensorRows(tensor, 0, 1) : tensor)), ms }
    },
  }
}

function eachTensor(tensors: Tensors, make: (tensor: Tensors[string]) => Tensors[string]): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, make(tensor)]))
}

function isLinear(bytes: Uint8Array): boolean {
  try {
    const opTypes = [...parseOnnxMetadata(bytes).opTypes]
    return opTypes.some((type) => linear.has(type)) && opTypes.every((type) => rowByRow.has(type))
  } catch {
    return false // what cannot be read is left as it is
  }
}
