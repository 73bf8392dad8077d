import type { InferenceSession } from 'onnxruntime-node'
import { Tensor } from './onnx-runtime.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { TensorInfo } from '../registry/models/model-contract.ts'
import { createSession } from './create-session.ts'
import { pairSingleRows } from './pair-single-rows.ts'
import type { ModelSession } from './model-session.ts'
import type { TensorValue } from './tensor-value.ts'

/**
 * Loads a model into this process. Loading and each run block the event loop while they last.
 *
 * @param name the name for error messages: `delay@3`
 * @param threads how many threads a run may use
 * @throws LockstepError `MODEL_INVALID` where the bytes do not load
 */
export async function openInlineSession(bytes: Uint8Array, name: string, threads = 1): Promise<ModelSession> {
  const { session, served } = await createSession(bytes, threads).catch((cause: unknown) => {
    const why = messageOf(cause).trim().replace(/\.?$/, '.')
    throw new LockstepError('MODEL_INVALID', `The model "${name}" does not load: ${why} Push it again.`, { cause })
  })
  const inputs = session.inputNames
  const loaded: ModelSession = {
    metadata: { inputs: session.inputMetadata.map(tensorInfo), outputs: session.outputMetadata.map(tensorInfo) },
    async run(feeds, fetches) {
      try {
        const given: Record<string, Tensor> = {}
        for (const input of inputs) given[input] = tensorOf(feeds[input] as TensorValue)
        // ONNX Runtime computes in its own event-loop turn, scheduled after this one, so the clock starts just before
        // the computation.
        let startMs = 0
        setImmediate(() => (startMs = performance.now()))
        const answers = await session.run(given, fetches)
        const ms = performance.now() - startMs
        const tensors: Record<string, TensorValue> = {}
        for (const output of fetches) tensors[output] = valueOf(answers[output] as Tensor)
        return { tensors, ms }
      } catch (cause) {
        throw new LockstepError('MODEL_FAILED', `The model "${name}" failed to run: ${messageOf(cause)}`, {
          cause,
          details: { model: name },
        })
      }
    },
    release: () => session.release(),
  }
  return pairSingleRows(loaded, served)
}

/** Converts ONNX Runtime's metadata of an input or output. */
export function tensorInfo(value: InferenceSession.ValueMetadata): TensorInfo {
  return value.isTensor
    ? { name: value.name, type: value.type, shape: value.shape, isTensor: true }
    : { name: value.name, type: 'other', shape: [], isTensor: false }
}

function tensorOf({ type, data, dims }: TensorValue): Tensor {
  // a tensor made as float16 has a Float16Array where there is one, which ONNX Runtime 1.30 does not read
  if (type === 'float16') return Object.assign(new Tensor('uint16', data as Uint16Array, dims), { type })
  return new Tensor(type as Tensor.Type, data, dims)
}

function valueOf({ type, dims, data }: Tensor): TensorValue {
  // Node 24 and later have a Float16Array for it, others a Uint16Array
  const bits = type === 'float16' && ArrayBuffer.isView(data) ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data
  return { type, dims, data: bits }
}
