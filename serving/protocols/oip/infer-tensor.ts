import { LockstepError } from '../../../kernel/errors.ts'
import type { TensorData } from '../../../inference/tensor-value.ts'
import type { Datatype } from './datatype.ts'

/** The maximum number of inputs of a call, and of outputs that it names. */
export const maxTensors = 1000
/** The maximum number of dimensions of a shape. */
export const maxRank = 32

/** A tensor of a request or an answer. */
export interface InferTensor {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  /** Row after row. */
  readonly data: TensorData
}

/** How many elements a shape has: 1 for the empty one. */
export function elementCount(shape: readonly number[]): number {
  let elements = 1
  for (const size of shape) elements *= size
  return elements
}

/** An error that names a tensor of the request. */
export function tensorError(tensor: string, problem: string): LockstepError {
  return new LockstepError('INVALID_REQUEST', `The tensor "${tensor}" ${problem}.`, { details: { tensor } })
}
