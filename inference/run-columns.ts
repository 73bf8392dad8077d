import type { ErrorCode } from '../kernel/errors.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { Value } from '../kernel/values/value-type.ts'
import type { FeatureColumns, LoadedModel, Prediction } from './load-model.ts'

/**
 * The maximum rows of one run. A small network takes 13 % less time per row than with 1,024, and 4 % more than with
 * 4,096.
 */
const rowsPerRun = 2048

export interface ColumnPredictions {
  /** By index of the model's outputs, then by row; null: the row has no prediction. */
  readonly outputs: readonly (Value | null)[][]
  /** By row: why it has no prediction; null: it has one. */
  readonly failures: readonly (ErrorCode | null)[]
}

/**
 * @param options.again predicts a row, by its index, that failed in a run of its own. If it throws, no further row
 *   runs. Absent: the row has no prediction
 * @param options.signal once it is aborted, no further run begins
 */
export type ColumnRunner = (
  columns: FeatureColumns,
  rows: number,
  options?: { readonly again?: (row: number) => Promise<Prediction>; readonly signal?: AbortSignal | undefined },
) => Promise<ColumnPredictions>

/**
 * Runs rows that all need a prediction.
 *
 * @returns by index of the model's outputs, then by row
 * @throws LockstepError why a run failed
 */
export type AllRowsRunner = (columns: FeatureColumns, rows: number, signal?: AbortSignal) => Promise<Value[][]>

/** Failures that the rows of the run may cause. Others are of the model's process, so the same run is tried again. */
const causedByRows: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['MODEL_FAILED', 'MODEL_TIMEOUT'])

/**
 * Runs a model on any number of rows. The sizes of the runs depend on the number of rows alone, so that the same rows
 * have the same predictions each time. A run that fails is halved, down to the rows that fail alone.
 *
 * @param sharesRuns whether the rows of a run are independent. If not, each row has its own run
 * @param timeoutMs the maximum time of a run of several rows. A single row has the model's timeout, as on a server
 */
export function createColumnRunner(
  model: Pick<LoadedModel, 'runColumns' | 'outputs' | 'maxRows'>,
  sharesRuns: boolean,
  timeoutMs: (rows: number) => number,
): ColumnRunner {
  const step = rowsOfRun(model, sharesRuns)
  const runRows = rowsRunner(model, timeoutMs)

  return async (columns, rows, { again, signal } = {}) => {
    const outputs = model.outputs.map(() => new Array<Value | null>(rows).fill(null))
    const failures = new Array<ErrorCode | null>(rows).fill(null)

    async function run(from: number, to: number): Promise<void> {
      signal?.throwIfAborted()
      try {
        copyAnswers(outputs, from, await runRows(columns, from, to))
      } catch (error) {
        signal?.throwIfAborted()
        if (!(error instanceof LockstepError) || !isOfRows(error)) throw error
        if (to - from === 1) {
          if (again === undefined) failures[from] = error.code
          else for (const [o, value] of (await again(from)).entries()) (outputs[o] as (Value | null)[])[from] = value
          return
        }
        const middle = middleOf(from, to)
        await run(from, middle)
        await run(middle, to)
      }
    }

    for (let from = 0; from < rows; from += step) await run(from, Math.min(rows, from + step))
    return { outputs, failures }
  }
}

/** A run that ended the model's process is one of these too. */
function isOfRows(error: LockstepError): boolean {
  return causedByRows.has(error.code) || (error.code === 'MODEL_UNAVAILABLE' && hasEnded(error))
}

/** Whether the run ended the model's process. */
function hasEnded({ details }: LockstepError): boolean {
  return details['endedIn'] !== undefined
}

/** How often a run that ends the model's process is tried: other load may delay it beyond its timeout. */
const maxTries = 3

/**
 * Like `createColumnRunner`, for rows that all need a prediction. A run that takes too long is not halved: a row that
 * never ends would take its timeout in each of a dozen runs.
 */
export function createAllRowsRunner(
  model: Pick<LoadedModel, 'runColumns' | 'outputs' | 'maxRows'>,
  sharesRuns: boolean,
  timeoutMs: (rows: number) => number,
): AllRowsRunner {
  const step = rowsOfRun(model, sharesRuns)
  const runRows = rowsRunner(model, timeoutMs)

  return async (columns, rows, signal) => {
    const outputs = model.outputs.map(() => new Array<Value>(rows))

    async function run(from: number, to: number, tries = 1): Promise<void> {
      signal?.throwIfAborted()
      try {
        copyAnswers(outputs, from, await runRows(columns, from, to))
      } catch (error) {
        if (!(error instanceof LockstepError)) throw error
        if (tries < maxTries && hasEnded(error)) return await run(from, to, tries + 1)
        if (to - from === 1 || !isOfRows(error) || error.code === 'MODEL_TIMEOUT') throw error
        const middle = middleOf(from, to)
        await run(from, middle)
        await run(middle, to)
      }
    }

    for (let from = 0; from < rows; from += step) await run(from, Math.min(rows, from + step))
    return outputs
  }
}

/** Runs the rows from `from` to before `to`, within their time. */
function rowsRunner(
  model: Pick<LoadedModel, 'runColumns'>,
  timeoutMs: (rows: number) => number,
): (columns: FeatureColumns, from: number, to: number) => Promise<Value[][]> {
  return (columns, from, to) => model.runColumns(columns, from, to, to - from === 1 ? undefined : timeoutMs(to - from))
}

function rowsOfRun({ maxRows }: Pick<LoadedModel, 'maxRows'>, sharesRuns: boolean): number {
  return sharesRuns && maxRows === null ? rowsPerRun : 1
}

function middleOf(from: number, to: number): number {
  return from + Math.ceil((to - from) / 2)
}

function copyAnswers(outputs: readonly (Value | null)[][], from: number, answers: readonly (readonly Value[])[]): void {
  for (const [o, answer] of answers.entries())
    for (let i = 0; i < answer.length; i++) (outputs[o] as (Value | null)[])[from + i] = answer[i] as Value
}
