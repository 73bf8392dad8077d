import { LockstepError } from '../kernel/errors.ts'
import type { Column, Value } from '../kernel/values/value-type.ts'
import type { ModelBinding } from '../registry/models/model-binding.ts'
import type { ModelMetadata } from './check-feeds.ts'
import { checkFeeds, checkOutputs } from './check-feeds.ts'
import type { ModelSession } from './model-session.ts'
import { createOutputReader } from './output-reader.ts'
import type { FeatureRow } from './tensor-writer.ts'
import { createColumnTensorWriter, createTensorWriter } from './tensor-writer.ts'
import type { TensorValue, Tensors } from './tensor-value.ts'

/** Feature values by index of a service's features, then by row. */
export type FeatureColumns = readonly (readonly (Value | null)[])[]

/** The outputs of one row, by index of the model's `outputs`. */
export type Prediction = readonly Value[]

export interface LoadedModel {
  readonly outputs: readonly Column[]
  /** The maximum rows of one run; null: any number. */
  readonly maxRows: 1 | null
  /**
   * Runs the model once. The run blocks the event loop if the session is inline. The result is by index of `rows`.
   *
   * @throws LockstepError `MODEL_FAILED` with ONNX Runtime's message
   */
  run(rows: readonly FeatureRow[], timeoutMs?: number): Promise<Prediction[]>
  /**
   * As `run`, on the rows [from, to) of columns by index of the service's features.
   *
   * @returns by index of `outputs`, a value of each row
   */
  runColumns(columns: FeatureColumns, from: number, to: number, timeoutMs?: number): Promise<Value[][]>
  /** All inputs and outputs of the file, whether declared or not. */
  readonly metadata: ModelMetadata
  /**
   * Runs the model once on tensors, without the feature service: any input and output of the file, by name. Do not
   * change the data until the promise has settled.
   *
   * @param outputs default: all tensor outputs of the file
   * @throws LockstepError `INVALID_REQUEST` if the tensors do not fit the model, `MODEL_FAILED` with ONNX Runtime's
   *   message
   */
  runTensors(feeds: Tensors, outputs?: readonly string[], timeoutMs?: number): Promise<Tensors>
  /** Checks a call of `runTensors`, as `runTensors` itself does, and returns the requested outputs. */
  checkCall(feeds: Tensors, outputs?: readonly string[]): readonly string[]
  /** Waits for runs under way, then frees the model. */
  close(): Promise<void>
}

/** Callbacks for runs. */
export interface RunListener {
  /** Called after each successful run. */
  readonly onRun?: (rows: number, ms: number) => void
  /** Called after each run that exceeded the model's timeout. */
  readonly onTimeout?: (rows: number) => void
}

/**
 * Wraps a session as a model: features in, typed outputs out. `bindModel` must have made the binding.
 *
 * @param name the name for error messages: `delay@3`
 */
export function loadedModel(
  session: ModelSession,
  binding: ModelBinding,
  name: string,
  { onRun, onTimeout }: RunListener = {},
): LoadedModel {
  const { metadata } = session
  const inputs = binding.inputs.map((input) => ({
    name: input.name,
    write: createTensorWriter(input),
    writeColumns: createColumnTensorWriter(input),
  }))
  const outputs = binding.outputs.map((output) => ({ name: output.name, read: createOutputReader(output) }))
  const fetches = outputs.map((output) => output.name)
  const underWay = new Set<Promise<unknown>>()
  let closed = false

  async function compute(rows: readonly FeatureRow[], timeoutMs: number | undefined): Promise<Prediction[]> {
    const feeds: Record<string, TensorValue> = {}
    for (const input of inputs) feeds[input.name] = input.write(rows)
    const columns = await outputsOf(feeds, rows.length, timeoutMs)
    const predictions = new Array<Prediction>(rows.length)
    for (let row = 0; row < rows.length; row++) predictions[row] = columns.map((column) => column[row] as Value)
    return predictions
  }

  async function outputsOf(feeds: Tensors, rows: number, timeoutMs: number | undefined): Promise<Value[][]> {
    const results = await timed(feeds, fetches, rows, timeoutMs)
    return outputs.map((output) => output.read(results[output.name] as TensorValue, rows))
  }

  function computeColumns(columns: FeatureColumns, from: number, to: number, timeoutMs: number | undefined): Promise<Value[][]> {
    const feeds: Record<string, TensorValue> = {}
    for (const input of inputs) feeds[input.name] = input.writeColumns(columns, from, to)
    return outputsOf(feeds, to - from, timeoutMs)
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
    runColumns: async (columns, from, to, timeoutMs) =>
      from === to ? outputs.map(() => []) : whileOpen(() => computeColumns(columns, from, to, timeoutMs)),
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
