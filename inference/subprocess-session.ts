import { LockstepError } from '../kernel/errors.ts'
import { backoffMs } from '../runtime/async.ts'
import type { ModelMetadata } from './check-feeds.ts'
import type { ModelSession, RunResult } from './model-session.ts'
import type { ModelProcess } from './model-process.ts'
import type { ProcessPool } from './process-pool.ts'
import type { Tensors } from './tensor-value.ts'

export interface SubprocessOptions {
  readonly pool: ProcessPool
  /** A process that has loaded the model. */
  readonly modelProcess: ModelProcess
  readonly metadata: ModelMetadata
  readonly name: string
  /** The time limit of one run. */
  readonly timeoutMs: number
  readonly loadTimeoutMs: number
  /** How many threads a run may use. */
  readonly threads: number
  /** Reads the model's bytes again for a restarted process. */
  readonly bytes: () => Promise<Uint8Array>
  /** Called each time a process has ended during a run. */
  readonly onEnd: (reason: 'timeout' | 'crash') => void
  /** Milliseconds. */
  readonly now: () => number
}

/** After this many consecutive failures of the model, its process is not restarted for a while. */
const endsInARow = 3
const restartBackoff = { firstMs: 5000, maxMs: 300_000 }
/** The maximum elements of a successful run that is kept as a probe. */
const maxProbe = 4096

/**
 * A model in a subprocess. If a run times out or crashes the process, the process is restarted and probed with an
 * earlier successful run. If the probe succeeds, the rows of that run were the cause, and other requests only see a
 * delay. If the probe fails, or no run has succeeded yet, the failure counts against the model. A model that fails
 * repeatedly is paused:
 *
 *     runs ──3 ends in a row──> paused ──5 s, then twice as long each time──> one run is tried ──it answers──> runs
 *                                  └──────────────it ends the process again────────┘
 */
export function createSubprocessSession(options: SubprocessOptions): ModelSession {
  const { pool, metadata, name, now } = options
  let modelProcess: Promise<ModelProcess> = Promise.resolve(options.modelProcess)
  /** Processes whose end was already reported. */
  const noted = new WeakSet<ModelProcess>()
  let ends = 0
  let pausedUntilMs = 0
  let trying = false
  let released = false
  /** A successful run. */
  let probe: { readonly feeds: Tensors; readonly fetches: readonly string[] } | null = null

  async function start(): Promise<ModelProcess> {
    const bytes = await options.bytes()
    const started = pool.take()
    try {
      await started.load(bytes, name, options.loadTimeoutMs, options.threads)
      if (probe !== null) await tryProbe(started, probe)
      if (released)
        throw new LockstepError('MODEL_UNAVAILABLE', `The model "${name}" is no longer loaded; send the request again.`, {
          details: { model: name },
        })
      return started
    } catch (error) {
      pool.end(started)
      throw error
    }
  }

  async function tryProbe(started: ModelProcess, { feeds, fetches }: NonNullable<typeof probe>): Promise<void> {
    try {
      await started.run(feeds, fetches, options.timeoutMs)
    } catch (error) {
      countEnd()
      throw error
    }
    ends = 0
  }

  function countEnd(): void {
    ends++
    if (ends >= endsInARow) pausedUntilMs = now() + backoffMs(ends - endsInARow + 1, restartBackoff)
  }

  function startAnew(): void {
    modelProcess = start()
    // the next caller gets the error
    modelProcess.catch(() => undefined)
  }

  function noteEnd(failed: ModelProcess, error: unknown): void {
    noted.add(failed)
    pool.end(failed)
    options.onEnd(reasonOf(error))
    if (probe === null) countEnd()
    if (ends < endsInARow) startAnew()
  }

  /** The current process, or a new one if the last has ended or could not start. */
  async function current(): Promise<ModelProcess> {
    const before = modelProcess
    const known = await before.catch(() => null)
    if (known?.alive() === true) return known
    if (modelProcess === before) {
      if (known !== null) pool.end(known)
      startAnew()
    }
    return await modelProcess
  }

  function refuseWhilePaused(): void {
    if (ends < endsInARow) return
    const leftMs = pausedUntilMs - now()
    if (leftMs <= 0 && !trying) return
    const seconds = Math.max(1, Math.ceil(leftMs / 1000))
    throw new LockstepError(
      'MODEL_UNAVAILABLE',
      `The model "${name}" has crashed its process ${ends} times in a row. It is not called now and is retried in ${seconds} s. Roll back to a version that works.`,
      { details: { model: name, retryAfterSeconds: seconds } },
    )
  }

  async function runOn(at: ModelProcess, feeds: Tensors, fetches: readonly string[], timeoutMs: number): Promise<RunResult> {
    try {
      const result = await at.run(feeds, fetches, timeoutMs)
      ends = 0
      probe ??= probeOf(feeds, fetches)
      return result
    } catch (error) {
      if (at.alive() || isBehind(error)) throw error
      if (!noted.has(at) && !released) noteEnd(at, error)
      if (!(error instanceof LockstepError)) throw error
      throw new LockstepError(error.code, error.message, { cause: error, details: { ...error.details, endedIn: reasonOf(error) } })
    }
  }

  return {
    metadata,
    async run(feeds, fetches, timeoutMs = options.timeoutMs) {
      refuseWhilePaused()
      const trial = ends >= endsInARow
      if (trial) trying = true
      try {
        return await runOn(await current(), feeds, fetches, timeoutMs)
      } catch (error) {
        if (!isBehind(error) || released) throw error
        // another run ended the process before this run began, so it is safe to repeat
        return await runOn(await current(), feeds, fetches, timeoutMs)
      } finally {
        if (trial) trying = false
      }
    },
    async release() {
      released = true
      const last = await modelProcess.catch(() => null)
      if (last !== null) pool.end(last)
    },
  }
}

function reasonOf(error: unknown): 'timeout' | 'crash' {
  return error instanceof LockstepError && error.code === 'MODEL_TIMEOUT' ? 'timeout' : 'crash'
}

/** Whether the process ended during another run while this run was waiting. */
function isBehind(error: unknown): boolean {
  return error instanceof LockstepError && error.details['behind'] === true
}

/** Copies the run, because the memory of feeds is reused. null: too large to keep. */
function probeOf(feeds: Tensors, fetches: readonly string[]): { readonly feeds: Tensors; readonly fetches: readonly string[] } | null {
  const elements = Object.values(feeds).reduce((sum, { data }) => sum + data.length, 0)
  if (elements > maxProbe) return null
  const copies = Object.entries(feeds).map(([name, { type, dims, data }]) => [name, { type, dims, data: data.slice() }])
  return { feeds: Object.fromEntries(copies), fetches }
}
