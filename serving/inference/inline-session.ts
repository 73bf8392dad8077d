import { InferenceSession, Tensor } from 'onnxruntime-node'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { TensorInfo } from '../../registry/model-contract.ts'
import type { ModelMetadata } from './check-feeds.ts'
import { sessionOptions } from './session-options.ts'
import type { TensorValue, Tensors } from './tensor-value.ts'

/** A model that is loaded, wherever it runs. What goes in has been checked. */
export interface ModelSession {
  readonly metadata: ModelMetadata
  /**
   * One run. The data of `feeds` must not be touched until the promise has settled.
   *
   * @throws LockstepError `MODEL_FAILED` with what the runtime said
   */
  run(feeds: Tensors, fetches: readonly string[]): Promise<Tensors>
  /** To be called once, with no run under way. */
  release(): Promise<void>
}

/**
 * Loads a model into this process. Loading and each run block the event loop while they last.
 *
 * @param name what errors call it: `delay@3`
 * @throws LockstepError `MODEL_INVALID` where the bytes do not load
 */
export async function openInlineSession(bytes: Uint8Array, name: string): Promise<ModelSession> {
  let session: InferenceSession
  try {
    session = await InferenceSession.create(bytes, sessionOptions)
  } catch (cause) {
    throw new LockstepError('MODEL_INVALID', `The model "${name}" does not load: ${messageOf(cause)}. Push it again.`, { cause })
  }
  const inputs = session.inputNames
  return {
    metadata: { inputs: session.inputMetadata.map(tensorInfo), outputs: session.outputMetadata.map(tensorInfo) },
    async run(feeds, fetches) {
      try {
        const given: Record<string, Tensor> = {}
        for (const input of inputs) given[input] = tensorOf(feeds[input] as TensorValue)
        return await session.run(given, fetches)
      } catch (cause) {
        throw new LockstepError('MODEL_FAILED', `The model "${name}" failed to run: ${messageOf(cause)}`, {
          cause,
          details: { model: name },
        })
      }
    },
    release: () => session.release(),
  }
}

/** What ONNX Runtime says of an input or output. */
export function tensorInfo(value: InferenceSession.ValueMetadata): TensorInfo {
  return value.isTensor
    ? { name: value.name, type: value.type, shape: value.shape, isTensor: true }
    : { name: value.name, type: 'other', shape: [], isTensor: false }
}

function tensorOf({ type, data, dims }: TensorValue): Tensor {
  return new Tensor(type as Tensor.Type, data, dims)
}
