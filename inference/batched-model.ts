import { fixedSize } from '../registry/model-contract.ts'
import type { BatchOptions } from './batcher.ts'
import { createBatcher } from './batcher.ts'
import type { LoadedModel, Prediction } from './load-model.ts'
import type { FeatureRow } from './tensor-writer.ts'
import type { TensorValue, Tensors } from './tensor-value.ts'
import { joinTensors, tensorRows } from './tensor-value.ts'

/** A model that many callers use at once. */
export interface BatchedModel {
  /** The predictions of these rows, by index. Rows of several callers may share a run. @throws LockstepError what the run throws */
  predict(rows: readonly FeatureRow[]): Promise<readonly Prediction[]>
  /** As of `LoadedModel`; calls whose tensors differ in their first axis alone may share a run. */
  runTensors(feeds: Tensors, outputs?: readonly string[]): Promise<Tensors>
}

export interface BatchedModelOptions extends Omit<BatchOptions, 'maxRows'> {
  /** Rows of one run at most, for a model that takes any number. */
  readonly maxRows: () => number
  /** Whether rows in one run leave each other alone: else every row has a run of its own. */
  readonly sharesRuns: boolean
  /** Whether tensors of one call may have runs of their own, row by row, though their rows share none. Default: no. */
  readonly independent?: boolean
  /**
   * How long the rows of a run that ended the model's process may take when each is tried alone, milliseconds. Default:
   * as long as any.
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
        // an output that is not a row for each row belongs to no caller alone
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
    // that rows may share runs says that outputs are by row, of those too whose shape the file does not tell
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

/** What two calls must have in common to share a run: the outputs that are asked for, and all but the first axis of what is given. */
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
