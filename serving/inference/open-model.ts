import type { ModelBinding } from '../../registry/model-binding.ts'
import type { ModelOperational } from '../../registry/definition-set.ts'
import type { BatchedModel } from './batched-model.ts'
import { createBatchedModel } from './batched-model.ts'
import { openInlineSession } from './inline-session.ts'
import type { LoadedModel } from './load-model.ts'
import { loadedModel } from './load-model.ts'
import { createRunTimes } from './run-times.ts'

/** A model version as servers run it. */
export interface OpenModel extends BatchedModel, Pick<LoadedModel, 'outputs' | 'metadata' | 'close'> {
  /** How long running so many rows takes, milliseconds, by what runs took so far; the wait for runs under way is not in it. 0 while nothing is known. */
  predictedRunMs(rows: number): number
}

export interface OpenModelOptions {
  readonly binding: ModelBinding
  /** What errors call it: `delay@3`. */
  readonly name: string
  readonly running: ModelOperational
  readonly onRun: (rows: number, ms: number) => void
  readonly onWait: (ms: number) => void
}

/** How long one run may hold the event loop. */
const inlineRunMs = 1

/**
 * Loads a model to be used by many at once.
 *
 * @throws LockstepError `MODEL_INVALID` where the bytes do not load
 */
export async function openModel(bytes: Uint8Array, options: OpenModelOptions): Promise<OpenModel> {
  const { binding, name, running, onWait } = options
  const times = createRunTimes()
  const session = await openInlineSession(bytes, name)
  const loaded = loadedModel(session, binding, name, (rows, ms) => {
    times.note(rows, ms)
    options.onRun(rows, ms)
  })
  const maxRows = () => times.bestRows(inlineRunMs)
  const batched = createBatchedModel(loaded, {
    maxRows,
    sharesRuns: running.tolerance !== 0,
    delayMs: (running.batchDelayMicros ?? 0) / 1000,
    inFlight: 1,
    onWait,
  })
  const { outputs, metadata, close } = loaded
  return {
    ...batched,
    outputs,
    metadata,
    close,
    predictedRunMs(rows) {
      const most = loaded.maxRows ?? maxRows()
      const full = Math.floor(rows / most)
      const rest = rows % most
      return full * times.predictMs(most) + (rest === 0 ? 0 : times.predictMs(rest))
    },
  }
}
