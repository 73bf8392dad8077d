import type { Tensor } from 'onnxruntime-node'
import { InferenceSession } from 'onnxruntime-node'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Column, Value } from '../../kernel/value-type.ts'
import type { ModelBinding } from '../../registry/model-binding.ts'
import { createOutputReader } from './output-reader.ts'
import { sessionOptions } from './session-options.ts'
import type { FeatureRow } from './tensor-writer.ts'
import { createTensorWriter } from './tensor-writer.ts'

/** One row's answer, by index of the model's `outputs`. */
export type Prediction = readonly Value[]

export interface LoadedModel {
  readonly outputs: readonly Column[]
  /** How many rows one run takes: null for any number. */
  readonly maxRows: 1 | null
  /**
   * One run of the model. It blocks the event loop while it computes. The answer is by index of `rows`.
   *
   * @throws LockstepError `MODEL_FAILED` with what the runtime said
   */
  run(rows: readonly FeatureRow[]): Promise<Prediction[]>
  /** Waits for runs under way, then frees the model. */
  close(): Promise<void>
}

/**
 * Loads a model whose bytes `inspectModel` accepted before and whose binding `bindModel` made.
 *
 * @param name what errors call it: `delay@3`
 * @throws LockstepError `MODEL_INVALID` where the bytes do not load
 */
export async function loadModel(bytes: Uint8Array, binding: ModelBinding, name: string): Promise<LoadedModel> {
  let session: InferenceSession
  try {
    session = await InferenceSession.create(bytes, sessionOptions)
  } catch (cause) {
    throw new LockstepError('MODEL_INVALID', `The model "${name}" does not load: ${messageOf(cause)}. Push it again.`, { cause })
  }
  const inputs = binding.inputs.map((input) => ({ name: input.name, write: createTensorWriter(input) }))
  const outputs = binding.outputs.map((output) => ({ name: output.name, read: createOutputReader(output) }))
  const fetches = outputs.map((output) => output.name)
  const underWay = new Set<Promise<unknown>>()
  let closed = false

  async function compute(rows: readonly FeatureRow[]): Promise<Prediction[]> {
    const feeds: Record<string, Tensor> = {}
    for (const input of inputs) feeds[input.name] = input.write(rows)
    let results: InferenceSession.ReturnType
    try {
      results = await session.run(feeds, fetches)
    } catch (cause) {
      throw new LockstepError('MODEL_FAILED', `The model "${name}" failed to run: ${messageOf(cause)}`, { cause, details: { model: name } })
    }
    const columns = outputs.map((output) => output.read(results[output.name] as Tensor, rows.length))
    return rows.map((_, row) => columns.map((column) => column[row] as Value))
  }

  return {
    outputs: binding.outputs.map(({ name: output, type }) => ({ name: output, type })),
    maxRows: binding.maxRows,
    async run(rows) {
      if (rows.length === 0) return []
      if (closed)
        throw new LockstepError('MODEL_FAILED', `The model "${name}" is no longer loaded; ask again.`, { details: { model: name } })
      const run = compute(rows)
      underWay.add(run)
      try {
        return await run
      } finally {
        underWay.delete(run)
      }
    },
    async close() {
      if (closed) return
      closed = true
      await Promise.allSettled(underWay)
      await session.release()
    },
  }
}
