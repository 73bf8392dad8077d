import { fixedSize } from '../registry/models/model-contract.ts'
import type { ModelSession } from './model-session.ts'
import { parseOnnxMetadata } from './onnx-metadata.ts'
import type { Tensors } from './tensor-value.ts'
import { joinTensors, tensorRows } from './tensor-value.ts'

/**
 * Operators that ONNX Runtime 1.30 sums in another order for one row than for several rows. Measured: a row has
 * bit-equal results in runs of 2 to 128 rows, and a different result alone. Probabilities differ by about 1e-7, and
 * more if large inputs cancel out.
 */
const linear: ReadonlySet<string> = new Set(['ai.onnx.ml.LinearClassifier', 'ai.onnx.ml.LinearRegressor'])
/** Operators of linear models that process each row independently, so a duplicated row changes nothing. */
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
 * Makes the result for a row independent of the batch size in linear models: a single row is run as a pair of equal
 * rows. Other models are returned unchanged; their trial checks whether their rows are independent.
 *
 * @param bytes the ONNX file of the session
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
    return false // an unreadable file is left unchanged
  }
}
