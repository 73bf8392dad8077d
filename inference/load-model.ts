import { LockstepError } from '../kernel/errors.ts'
import type { Column, Value } from '../kernel/value-type.ts'
import type { ModelBinding } from '../registry/model-binding.ts'
import type { ModelMetadata } from './check-feeds.ts'
import { checkFeeds, checkOutputs } from './check-feeds.ts'
import { openInlineSession } from './inline-session.ts'
import type { ModelSession } from './model-session.ts'
import { createOutputReader } from './output-reader.ts'
import type { FeatureRow } from './tensor-writer.ts'
import { createTensorWriter } from './tensor-writer.ts'
import type { TensorValue, Tensors } from './tensor-value.ts'

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
  run(rows: readonly FeatureRow[], timeoutMs?: number): Promise<Prediction[]>
  /** The inputs and outputs of the file, declared or not. */
  readonly metadata: ModelMetadata
  /**
   * One run on tensors, past the feature service: any input and output of the file, by name. The data must not be touched until the promise has settled.
   *
   * @param outputs absent: all of the file that are tensors
   * @throws LockstepError `INVALID_REQUEST` where the tensors are not what the model takes, `MODEL_FAILED` with what the runtime said
   */
  runTensors(feeds: Tensors, outputs?: readonly string[], timeoutMs?: number): Promise<Tensors>
  /** Checks a call of `runTensors`, as that does itself, and gives the outputs that it asks for. */
  checkCall(feeds: Tensors, outputs?: readonly string[]): readonly string[]
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
  return loadedModel(await openInlineSession(bytes, name), binding, name)
}

/** Who is told of runs. */
export interface RunListener {
  /** Of each run that came to an answer, the rows and the milliseconds. */
  readonly onRun?: (rows: number, ms: number) => void
  /** Of each that was ended after its time, the rows. */
  readonly onTimeout?: (rows: number) => void
}

/** A model of a session, with its features bound to its tensors. */
export function loadedModel(
  session: ModelSession,
  binding: ModelBinding,
  name: string,
  { onRun, onTimeout }: RunListener = {},
): LoadedModel {
  const { metadata } = session
  const inputs = binding.inputs.map((input) => ({ name: input.name, write: createTensorWriter(input) }))
  const outputs = binding.outputs.map((output) => ({ name: output.name, read: createOutputReader(output) }))
  const fetches = outputs.map((output) => output.name)
  const underWay = new Set<Promise<unknown>>()
  let closed = false

  async function compute(rows: readonly FeatureRow[], timeoutMs: number | undefined): Promise<Prediction[]> {
    const feeds: Record<string, TensorValue> = {}
    for (const input of inputs) feeds[input.name] = input.write(rows)
    const results = await timed(feeds, fetches, rows.length, timeoutMs)
    const columns = outputs.map((output) => output.read(results[output.name] as TensorValue, rows.length))
    const predictions = new Array<Prediction>(rows.length)
    for (let row = 0; row < rows.length; row++) predictions[row] = columns.map((column) => column[row] as Value)
    return predictions
  }

  async function timed(feeds: Tensors, asked: readonly string[], rows: number, timeoutMs: number | undefined): Promise<Tensors> {
    try {
      const { tensors, ms } = await session.run(feeds, asked, timeoutMs)
      onRun?.(rows, ms)
      return tensors
    } catch (error) {
      if (timeoutMs === undefined && error instanceof LockstepError && error.code === 'MODEL_TIMEOUT') onTimeout?.(rows)
      throw error
    }
  }

  function checkCall(feeds: Tensors, wanted?: readonly string[]): readonly string[] {
    checkFeeds(metadata, feeds, name)
    return checkOutputs(metadata, wanted, name)
  }

  async function whileOpen<T>(run: () => Promise<T>): Promise<T> {
    if (closed)
      throw new LockstepError('MODEL_FAILED', `The model "${name}" is no longer loaded; send the request again.`, {
        details: { model: name },
      })
    const running = run()
    underWay.add(running)
    try {
      return await running
    } finally {
      underWay.delete(running)
    }
  }

  return {
    outputs: binding.outputs.map(({ name: output, type }) => ({ name: output, type })),
    maxRows: binding.maxRows,
    metadata,
    run: async (rows, timeoutMs) => (rows.length === 0 ? [] : whileOpen(() => compute(rows, timeoutMs))),
    checkCall,
    async runTensors(feeds, wanted, timeoutMs) {
      const asked = checkCall(feeds, wanted)
      return await whileOpen(() => timed(feeds, asked, Object.values(feeds)[0]?.dims[0] ?? 1, timeoutMs))
    },
    async close() {
      if (closed) return
      closed = true
      await Promise.allSettled(underWay)
      await session.release()
    },
  }
}
