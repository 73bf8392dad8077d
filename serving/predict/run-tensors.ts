import type { Tensors } from '../../inference/tensor-value.ts'
import type { ServedModel } from '../models/load-version.ts'
import type { RequestDeadline } from '../traffic/request-deadline.ts'
import { requireTime } from '../traffic/request-deadline.ts'

export interface TensorRequest {
  /** By name of the model's input. */
  readonly feeds: Tensors
  /** How many rows the feeds have. */
  readonly rows: number
  /** Names of the model's outputs. */
  readonly outputs: readonly string[]
  readonly deadline?: RequestDeadline | undefined
}

/**
 * Runs a model on raw tensors: without its feature service, and without a line in the prediction log.
 *
 * @throws LockstepError `DEADLINE_EXCEEDED`, and what the model throws
 */
export async function runTensors(model: ServedModel, { feeds, rows, outputs, deadline }: TensorRequest): Promise<Tensors> {
  requireTime(deadline, model.predictedRunMs(rows))
  return await model.runTensors(feeds, outputs)
}
