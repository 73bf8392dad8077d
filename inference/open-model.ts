import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ModelBinding } from '../registry/model-binding.ts'
import type { ModelOperational } from '../registry/definition-set.ts'
import type { Logger } from '../runtime/log.ts'
import { fixedSize } from '../registry/model-contract.ts'
import { messageOf } from '../kernel/errors.ts'
import type { BatchedModel } from './batched-model.ts'
import { createBatchedModel } from './batched-model.ts'
import type { ModelMetadata } from './check-feeds.ts'
import { createSubprocessSession } from './subprocess-session.ts'
import { openInlineSession } from './inline-session.ts'
import type { LoadedModel } from './load-model.ts'
import { loadedModel } from './load-model.ts'
import type { ModelProfile } from './profile-model.ts'
import type { ModelSession } from './model-session.ts'
import type { PredictionCacheOptions } from './prediction-cache.ts'
import { createPredictionCache } from './prediction-cache.ts'
import { createRowKey } from './row-key.ts'
import { createLatencyEstimator, subprocessBudgetMs } from './latency-estimator.ts'
import type { LoadAnswer, ModelProcess } from './model-process.ts'
import { trialTimeoutMs } from './require-finished-trial.ts'
import type { ProcessPool } from './process-pool.ts'

/** A model version as servers run it. */
export interface OpenModel extends BatchedModel, Pick<LoadedModel, 'outputs' | 'metadata' | 'close'> {
  /**
   * Whether its trial ended. Of one that took its process down, or had no end, nobody knows whether it ever answers.
   */
  readonly tried: boolean
  /** In this process, or in one of its own. */
  readonly place: 'inline' | 'process'
  /**
   * How long running so many rows takes, milliseconds, by what runs took so far; the wait for runs under way is not in it. 0 while nothing is known, or nothing new: where no run was let in lately,
   * the next tells whether it takes as long still. 0 too where answers are cached, which need none.
   */
  predictedRunMs(rows: number): number
  /** Forgets the answers that are cached. */
  forgetAnswers(): void
}

export interface OpenModelOptions {
  readonly binding: ModelBinding
  /** What errors call it: `delay@3`. */
  readonly name: string
  readonly operational: ModelOperational
  readonly pool: ProcessPool
  readonly log: Logger
  readonly onRun: (rows: number, ms: number) => void
  readonly onWait: (ms: number) => void
  /** Told of each call where the model has a cache. */
  readonly onLookups: PredictionCacheOptions['onLookups']
  /** Told each time a process of the model has ended in a run. */
  readonly onEnd: (reason: 'timeout' | 'crash') => void
  /** Told once it has loaded, as its trial begins. */
  readonly onTrial?: () => void
}

/** What a model may cost at most that runs in the server's own process: a load and a run hold up every request. */
const inlineLoadMs = 8
const inlineRowMs = 0.5
/** How long one run may take for the sake of a cheaper row. */
const inlineRunMs = 1

const defaultTimeoutMs = 5000
/** After so long without a run nobody is turned away for what runs took. */
const outdatedMs = 1000
const loadTimeoutMs = 60_000
const minRetryMs = 100
const retryFactor = 20
const defaultTolerance = 1e-6

/**
 * Loads a model to be used by many at once. It is loaded and tried in a process of its own first: there it stays, unless it is up to the number of rows alone how long it runs and the
 * profile shows short runs; then it is loaded into this process.
 *
 * @param bytes called again where the model's process has to be started anew
 * @throws LockstepError `MODEL_INVALID` where the bytes do not load, `MODEL_TIMEOUT` where they do not within a minute, and what `bytes` throws
 */
export async function openModel(bytes: () => Promise<Uint8Array>, options: OpenModelOptions): Promise<OpenModel> {
  const { binding, name, operational, pool, log, onWait } = options
  const times = createLatencyEstimator()
  const timeoutMs = (operational.timeoutMicros ?? defaultTimeoutMs * 1000) / 1000
  // a process takes a while to start, and the bytes to be read
  const reading = bytes()
  // it may fail before anything waits for it
  reading.catch(() => undefined)
  const tried = await tryModel(reading, options)
  for (const [rows, ms] of tried.profile?.times ?? []) times.note(rows, ms)
  if (tried.profile?.sharesRuns === false && binding.maxRows === null && operational.tolerance !== 0)
    log.warn(
      { model: name },
      'a model is run one row at a time: in its trial, outputs changed with the other rows of the batch, or it accepted no made-up rows, or one row took too long to try more at once',
    )
  const { place, session } = await settle()
  const { metadata } = session
  let ranAt = performance.now()
  const loaded = loadedModel(session, binding, name, {
    onRun(rows, ms) {
      times.note(rows, ms)
      ranAt = performance.now()
      options.onRun(rows, ms)
    },
    // else the next is as large
    onTimeout: (rows) => times.note(rows, timeoutMs),
  })
  const rowMs = tried.profile?.times[0]?.[1] ?? 0
  const budgetMs = place === 'inline' ? inlineRunMs : subprocessBudgetMs(rowMs, timeoutMs)
  const maxRows = () => times.bestRows(budgetMs)
  const batched = createBatchedModel(loaded, {
    maxRows,
    sharesRuns: tried.profile?.sharesRuns ?? false,
    independent: tried.profile?.independent ?? false,
    // far longer than rows take that end, and far shorter than the time that a model has
    retryMs: (rows) => Math.min(timeoutMs, Math.max(minRetryMs, retryFactor * times.predictMs(rows))),
    delayMs: (operational.batchDelayMicros ?? 0) / 1000,
    inFlight: 1,
    onWait,
  })
  const cache =
    operational.cache === undefined
      ? null
      : createPredictionCache(batched.predict, {
          ...operational.cache,
          keyOf: createRowKey(binding, name),
          now: () => performance.now(),
          onLookups: options.onLookups,
        })
  return {
    predict: cache?.predict ?? batched.predict,
    runTensors: batched.runTensors,
    place,
    tried: tried.profile !== null,
    outputs: loaded.outputs,
    metadata,
    forgetAnswers: () => cache?.forget(),
    async close() {
      cache?.close()
      await loaded.close()
    },
    predictedRunMs(rows) {
      // of what is cached there is no run
      if (cache !== null || performance.now() - ranAt > outdatedMs) return 0
      const most = loaded.maxRows ?? maxRows()
      const full = Math.floor(rows / most)
      const rest = rows % most
      return full * times.predictMs(most) + (rest === 0 ? 0 : times.predictMs(rest))
    },
  }

  async function settle(): Promise<{ readonly place: OpenModel['place']; readonly session: ModelSession }> {
    if (!isSmall(tried, binding)) {
      const { modelProcess } = tried
      const { onEnd } = options
      const now = () => performance.now()
      const subprocess = { pool, modelProcess, metadata: tried.loaded.metadata, name, timeoutMs, loadTimeoutMs, bytes, onEnd, now }
      return { place: 'process', session: createSubprocessSession(subprocess) }
    }
    await tried.modelProcess.release().then(
      () => pool.give(tried.modelProcess),
      () => pool.end(tried.modelProcess),
    )
    return { place: 'inline', session: await openInlineSession(await reading, name) }
  }
}

interface Tried {
  readonly modelProcess: ModelProcess
  readonly loaded: LoadAnswer
  /** null where trying it took the process down, or too long. */
  readonly profile: ModelProfile | null
}

/**
 * Whether a run holds up the process for a moment, independent of the request: by its profile, and because it grows with
 * the rows alone.
 */
function isSmall({ loaded, profile }: Tried, { maxRows }: ModelBinding): boolean {
  if (loaded.valueDependentRunTime || loaded.loadMs > inlineLoadMs || profile === null) return false
  const [first] = profile.times
  if (first === undefined || first[1] > inlineRowMs) return false
  return maxRows === 1 || (profile.independent && rowsAreOfOneSize(loaded.metadata))
}

/** Whether callers decide how many rows there are, and nothing else. */
function rowsAreOfOneSize({ inputs, outputs }: ModelMetadata): boolean {
  return (
    inputs.every(
      ({ isTensor, shape }) => isTensor && shape.length > 0 && shape.every((size, axis) => (fixedSize(size) === null) === (axis === 0)),
    ) &&
    // of a shape that the file does not tell, the trial has told that it is by row
    outputs.every(({ isTensor, shape }) => isTensor && (shape.length === 0 || fixedSize(shape[0]) === null))
  )
}

/** Loads a model into a modelProcess and measures it there. */
async function tryModel(
  reading: Promise<Uint8Array>,
  { binding, name, operational, pool, log, onTrial }: OpenModelOptions,
): Promise<Tried> {
  // to start a process takes a turn by itself
  await nextTurn()
  const modelProcess = pool.take()
  const bytes = await reading.catch((error: unknown) => {
    pool.give(modelProcess)
    throw error
  })
  try {
    const loaded = await modelProcess.load(bytes, name, loadTimeoutMs)
    onTrial?.()
    try {
      const how = { single: binding.maxRows === 1, tolerance: operational.tolerance ?? defaultTolerance }
      return { modelProcess, loaded, profile: await modelProcess.profile(how, trialTimeoutMs) }
    } catch (error) {
      if (modelProcess.alive()) throw error
      log.warn({ model: name, error: messageOf(error) }, 'a model could not be profiled')
    }
  } catch (error) {
    pool.end(modelProcess)
    throw error
  }
  pool.end(modelProcess)
  const again = pool.take()
  try {
    return { modelProcess: again, loaded: await again.load(bytes, name, loadTimeoutMs), profile: null }
  } catch (error) {
    pool.end(again)
    throw error
  }
}
