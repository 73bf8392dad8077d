import { fixedSize } from '../registry/models/model-contract.ts'
import type { BatchOptions } from './batcher.ts'
import { createBatcher } from './batcher.ts'
import type { LoadedModel, Prediction } from './load-model.ts'
import type { FeatureRow } from './tensor-writer.ts'
import type { TensorValue, Tensors } from './tensor-value.ts'
import { joinTensors, tensorRows } from './tensor-value.ts'

/** A model that many callers use at once. */
export interface BatchedModel {
  /**
   * The predictions of these rows, by index. Rows of several callers may share a run. @throws LockstepError what the
   * run throws
   */
  predict(rows: readonly FeatureRow[]): Promise<readonly Prediction[]>
  /** As in `LoadedModel`. Calls whose tensors differ only in the first axis may share a run. */
  runTensors(feeds: Tensors, outputs?: readonly string[]): Promise<Tensors>
}

export interface BatchedModelOptions extends Omit<BatchOptions, 'maxRows'> {
  /** The maximum rows of one run, for a model that takes any number of rows. */
  readonly maxRows: () => number
  /** Whether the rows of a batch are independent. If not, each row has its own run. */
  readonly sharesRuns: boolean
  /**
   * Whether the rows of a tensor call may be split into several runs, even if rows do not share runs. Default: false.
   */
  readonly independent?: boolean
  /**
   * Time limit for one row when the rows of a run that ended the model's process are retried one by one, milliseconds.
   * Default: the model's timeout.
   */
  readonly retryMs?: (rows: number) => number
}

/** Puts the micro-batcher before a model. */
export function createBatchedModel(model: LoadedModel, options: BatchedModelOptions): BatchedModel {
  const shares = options.sharesRuns && model.maxRows === null
  const batch = { ...options, maxRows: () => (shares ? options.maxRows() : 1) }
  const rows = createBatcher<readonly FeatureRow[], readonly Prediction[]>(
    {
      rowsOf: (job) => job.length,
      groupOf: () => '',
      part: (job, from, to) => job.slice(from, to),
      join: (answers) => answers.flat(),
      async run(jobs, total, again) {
        const [only] = jobs
        if (jobs.length === 1 && only !== undefined) return [await model.run(only, again ? options.retryMs?.(total) : undefined)]
        const predictions = await model.run(jobs.flat())
        let at = 0
        return jobs.map((job) => predictions.slice(at, (at += job.length)))
      },
    },
    batch,
  )
  const tensors = createBatcher<TensorJob, Tensors>(
    {
      rowsOf: (job) => job.rows,
      groupOf: (job) => job.group,
      part: (job, from, to) => ({ ...job, rows: to - from, feeds: mapTensors(job.feeds, (tensor) => tensorRows(tensor, from, to)) }),
      join: joinAll,
      async run(jobs, total, again) {
        const [first] = jobs as readonly [TensorJob]
        const feeds = jobs.length === 1 ? first.feeds : joinAll(jobs.map((job) => job.feeds))
        const answers = await model.runTensors(feeds, first.outputs, again ? options.retryMs?.(total) : undefined)
        if (jobs.length === 1) return [answers]
        // an output without one row per input row cannot be divided among the callers
        if (Object.values(answers).some((tensor) => tensor.dims[0] !== total)) throw new Error('An output is not by row.')
        let at = 0
        return jobs.map((job) => {
          const from = at
          at += job.rows
          return mapTensors(answers, (tensor) => tensorRows(tensor, from, from + job.rows))
        })
      },
    },
    batch,
  )
  const { inputs, outputs } = model.metadata
  const free = (shape: readonly (number | string)[]): boolean => fixedSize(shape[0]) === null
  const byRow =
    (shares || (options.independent === true && model.maxRows === null)) &&
    inputs.every(({ isTensor, shape }) => isTensor && shape.length > 0 && free(shape)) &&
    // the trial checked that outputs have one row per input row, even where the file does not state their shape
    outputs.every(({ isTensor, shape }) => isTensor && free(shape))

  return {
    predict: (job) => (job.length === 0 ? Promise.resolve([]) : rows.submit(job)),
    async runTensors(feeds, wanted) {
      if (!byRow) return await model.runTensors(feeds, wanted)
      const asked = model.checkCall(feeds, wanted)
      const sizes = new Set(Object.values(feeds).map((tensor) => tensor.dims[0]))
      const [count] = sizes
      if (sizes.size !== 1 || count === undefined) return await model.runTensors(feeds, asked)
      return await tensors.submit({ feeds, outputs: asked, rows: count, group: groupOf(feeds, asked) })
    },
  }
}

interface TensorJob {
  readonly feeds: Tensors
  readonly outputs: readonly string[]
  readonly rows: number
  readonly group: string
}

/** Two calls may share a run if they request the same outputs and their tensors agree in all axes but the first. */
function groupOf(feeds: Tensors, outputs: readonly string[]): string {
  const shapes = Object.keys(feeds)
    .toSorted()
    .map((name) => [name, ...(feeds[name] as TensorValue).dims.slice(1)])
  return JSON.stringify([outputs, shapes])
}

function mapTensors(tensors: Tensors, change: (tensor: TensorValue) => TensorValue): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]))
}

function joinAll(parts: readonly Tensors[]): Tensors {
  return Object.fromEntries(Object.keys(parts[0] ?? {}).map((name) => [name, joinTensors(parts.map((part) => part[name] as TensorValue))]))
}
