import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ModelBinding } from '../registry/models/model-binding.ts'
import type { ModelOperational } from '../registry/load/definition-set.ts'
import type { Logger } from '../runtime/log.ts'
import { fixedSize } from '../registry/models/model-contract.ts'
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
import { loadTimeoutMs, trialOptions, trialTimeoutMs } from './require-finished-trial.ts'
import type { ProcessPool } from './process-pool.ts'
import type { AllRowsRunner, ColumnRunner } from './run-columns.ts'
import { createAllRowsRunner, createColumnRunner } from './run-columns.ts'

/** A model version as servers run it. */
export interface OpenModel extends BatchedModel, Pick<LoadedModel, 'outputs' | 'metadata' | 'close'> {
  /**
   * Whether its trial ended. If the trial crashed the process or timed out, it is unknown whether the model ever
   * answers.
   */
  readonly tried: boolean
  /** Runs in this process or in a subprocess. */
  readonly place: 'inline' | 'process'
  /**
   * The expected run time for this many rows, milliseconds, from past runs. The wait for current runs is not included.
   * Returns 0 while nothing is known, and if there was no recent run, so that the next run updates the estimate.
   * Returns 0 if predictions are cached.
   */
  predictedRunMs(rows: number): number
  /** As `predict`, without reading or filling the prediction cache. */
  readonly predictUncached: BatchedModel['predict']
  /** Runs rows by column, many at once, past the batcher and the cache. */
  readonly runColumns: ColumnRunner
  /** The same for rows that all need a prediction. */
  readonly runAllRows: AllRowsRunner
  /** Clears the prediction cache. */
  forgetAnswers(): void
  readonly last: LastCall
}

/** Read it right after a call of `predict`. */
export interface LastCall {
  /** The time of the last run, milliseconds. */
  readonly runMs: number
  /** Rows of the last call that the prediction cache answered. */
  readonly cacheHits: number
}

export interface OpenModelOptions {
  readonly binding: ModelBinding
  /** The name for error messages: `delay@3`. */
  readonly name: string
  readonly operational: ModelOperational
  readonly pool: ProcessPool
  readonly log: Logger
  readonly onRun: (rows: number, ms: number) => void
  readonly onWait: (ms: number) => void
  /** Called for each call if the model has a cache. */
  readonly onLookups: PredictionCacheOptions['onLookups']
  /** Called each time a process of the model has ended during a run. */
  readonly onEnd: (reason: 'timeout' | 'crash') => void
  /** Called when the model has loaded and its trial begins. */
  readonly onTrial?: () => void
}

/** Cost limits for a model that runs inline. Its loads and runs block every request of the server. */
const inlineLoadMs = 8
const inlineRowMs = 0.5
/** The time limit of a batched inline run. */
const inlineRunMs = 1

const defaultTimeoutMs = 5000
/** After this long without a run, the estimate is not used to refuse requests. */
const outdatedMs = 1000
const minRetryMs = 100
const retryFactor = 20
/** How many times its expected time a run of many rows may take, beyond the timeout: a machine may become slower. */
const columnRunFactor = 4

/**
 * Loads a model for concurrent use. The model is first loaded and tried in a subprocess. It moves into this process if
 * its run time depends only on the number of rows, the profile shows short runs and it has one thread; else it stays in
 * the subprocess.
 *
 * @param bytes called again when the model's process has to be restarted
 * @throws LockstepError `MODEL_INVALID` if the bytes do not load, `MODEL_TIMEOUT` if loading takes more than a minute,
 *   and what `bytes` throws
 */
export async function openModel(bytes: () => Promise<Uint8Array>, options: OpenModelOptions): Promise<OpenModel> {
  const { binding, name, operational, pool, log, onWait } = options
  const times = createLatencyEstimator()
  const threads = operational.threads ?? 1
  const timeoutMs = (operational.timeoutMicros ?? defaultTimeoutMs * 1000) / 1000
  // the bytes are read while the process starts
  const reading = bytes()
  // it may fail before anything awaits it
  reading.catch(() => undefined)
  const tried = await tryModel(reading, options)
  for (const [rows, ms] of tried.profile?.times ?? []) times.note(rows, ms)
  if (tried.profile?.sharesRuns === false && binding.maxRows === null && operational.tolerance !== 0)
    log.warn(
      { model: name },
      'a model is run one row at a time: in its trial, outputs changed with the other rows of the batch, or it accepted no made-up rows, or one row takes long, and several take as long as one by one',
    )
  const { place, session } = await settle()
  const { metadata } = session
  let ranAt = performance.now()
  const last = { runMs: 0, cacheHits: 0 }
  const loaded = loadedModel(session, binding, name, {
    onRun(rows, ms) {
      times.note(rows, ms)
      ranAt = performance.now()
      last.runMs = ms
      options.onRun(rows, ms)
    },
    // the timed-out size is noted, so that the next run is smaller
    onTimeout: (rows) => times.note(rows, timeoutMs),
  })
  const rowMs = tried.profile?.times[0]?.[1] ?? 0
  const budgetMs = place === 'inline' ? inlineRunMs : subprocessBudgetMs(rowMs, timeoutMs)
  const maxRows = () => times.bestRows(budgetMs)
  const columnRunMs = (rows: number): number => timeoutMs + columnRunFactor * times.predictMs(rows)
  const batched = createBatchedModel(loaded, {
    maxRows,
    sharesRuns: tried.profile?.sharesRuns ?? false,
    independent: tried.profile?.independent ?? false,
    // much longer than a normal run, and much shorter than the model's timeout
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
          onLookups(hits, shared, misses) {
            last.cacheHits = hits
            options.onLookups(hits, shared, misses)
          },
        })
  return {
    predict: cache?.predict ?? batched.predict,
    predictUncached: batched.predict,
    runTensors: batched.runTensors,
    runColumns: createColumnRunner(loaded, tried.profile?.sharesRuns ?? false, columnRunMs),
    runAllRows: createAllRowsRunner(loaded, tried.profile?.sharesRuns ?? false, columnRunMs),
    place,
    tried: tried.profile !== null,
    outputs: loaded.outputs,
    metadata,
    last,
    forgetAnswers: () => cache?.forget(),
    async close() {
      cache?.close()
      await loaded.close()
    },
    predictedRunMs(rows) {
      // cached rows need no run
      if (cache !== null || performance.now() - ranAt > outdatedMs) return 0
      const runRows = loaded.maxRows ?? maxRows()
      const full = Math.floor(rows / runRows)
      const rest = rows % runRows
      return full * times.predictMs(runRows) + (rest === 0 ? 0 : times.predictMs(rest))
    },
  }

  async function settle(): Promise<{ readonly place: OpenModel['place']; readonly session: ModelSession }> {
    if (threads > 1 || !isSmall(tried, binding)) {
      const { modelProcess } = tried
      const { onEnd } = options
      const now = () => performance.now()
      const subprocess = { pool, modelProcess, metadata: tried.loaded.metadata, name, timeoutMs, loadTimeoutMs, threads, bytes, onEnd, now }
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
  /** null if the trial crashed the process or timed out. */
  readonly profile: ModelProfile | null
}

/**
 * Whether runs are short for any request: the profile shows short runs, and the run time grows only with the number of
 * rows.
 */
function isSmall({ loaded, profile }: Tried, { maxRows }: ModelBinding): boolean {
  if (loaded.valueDependentRunTime || loaded.loadMs > inlineLoadMs || profile === null) return false
  const [first] = profile.times
  if (first === undefined || first[1] > inlineRowMs) return false
  return maxRows === 1 || (profile.independent && rowsAreOfOneSize(loaded.metadata))
}

/** Whether the number of rows is the only free dimension of the inputs. */
function rowsAreOfOneSize({ inputs, outputs }: ModelMetadata): boolean {
  return (
    inputs.every(
      ({ isTensor, shape }) => isTensor && shape.length > 0 && shape.every((size, axis) => (fixedSize(size) === null) === (axis === 0)),
    ) &&
    // an empty shape means that the file does not state it; the trial checked that the output has one row per input row
    outputs.every(({ isTensor, shape }) => isTensor && (shape.length === 0 || fixedSize(shape[0]) === null))
  )
}

/** Loads a model into a subprocess and profiles it there. */
async function tryModel(
  reading: Promise<Uint8Array>,
  { binding, name, operational, pool, log, onTrial }: OpenModelOptions,
): Promise<Tried> {
  // starting a process blocks for a while, so other events run first
  await nextTurn()
  const modelProcess = pool.take()
  const bytes = await reading.catch((error: unknown) => {
    pool.give(modelProcess)
    throw error
  })
  try {
    const loaded = await modelProcess.load(bytes, name, loadTimeoutMs, operational.threads)
    onTrial?.()
    try {
      return { modelProcess, loaded, profile: await modelProcess.profile(trialOptions(binding, operational), trialTimeoutMs) }
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
    return { modelProcess: again, loaded: await again.load(bytes, name, loadTimeoutMs, operational.threads), profile: null }
  } catch (error) {
    pool.end(again)
    throw error
  }
}
