import { LockstepError } from '../kernel/errors.ts'
import { backoffMs } from '../runtime/async.ts'
import type { ModelMetadata } from './check-feeds.ts'
import type { ModelSession, RunResult } from './model-session.ts'
import type { ModelProcess } from './model-process.ts'
import type { ProcessPool } from './process-pool.ts'
import type { Tensors } from './tensor-value.ts'

export interface SubprocessOptions {
  readonly pool: ProcessPool
  /** Has the model loaded. */
  readonly modelProcess: ModelProcess
  readonly metadata: ModelMetadata
  readonly name: string
  /** How long one run may take. */
  readonly timeoutMs: number
  readonly loadTimeoutMs: number
  /** The model's bytes again, for a process that is started anew. */
  readonly bytes: () => Promise<Uint8Array>
  /** Told each time a process has ended in a run. */
  readonly onEnd: (reason: 'timeout' | 'crash') => void
  /** Milliseconds. */
  readonly now: () => number
}

/** After so many ends in a row that tell against the model, its process is not started for a while. */
const endsInARow = 3
const restartBackoff = { firstMs: 5000, maxMs: 300_000 }
/** Of how many elements at most a run is kept that went well. */
const maxProbe = 4096

/**
 * A model in a process of its own. Where a run does not end, or takes the process down, the process is started anew,
 * and tried with a run that went well before. Where that goes well again it was the rows of that one run, and no other
 * request notices more than the time it took. Where it does not, or none went well yet, the end tells against the
 * model, and one that does so time and again is left alone for a while:
 *
 *     runs ──3 ends in a row──> paused ──5 s, then twice as long each time──> one run is tried ──it answers──> runs
 *                                  └──────────────it ends the process again────────┘
 */
export function createSubprocessSession(options: SubprocessOptions): ModelSession {
  const { pool, metadata, name, now } = options
  let modelProcess: Promise<ModelProcess> = Promise.resolve(options.modelProcess)
  /** Those whose end has been told. */
  const noted = new WeakSet<ModelProcess>()
  let ends = 0
  let pausedUntilMs = 0
  let trying = false
  let released = false
  /** A run that went well. */
  let probe: { readonly feeds: Tensors; readonly fetches: readonly string[] } | null = null

  async function start(): Promise<ModelProcess> {
    const bytes = await options.bytes()
    const started = pool.take()
    try {
      await started.load(bytes, name, options.loadTimeoutMs)
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
    // whoever asks next sees why
    modelProcess.catch(() => undefined)
  }

  function noteEnd(failed: ModelProcess, error: unknown): void {
    noted.add(failed)
    pool.end(failed)
    options.onEnd(reasonOf(error))
    if (probe === null) countEnd()
    if (ends < endsInARow) startAnew()
  }

  /** The process; a new one where the last has ended or could not be started. */
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
        // another run ended the process before this one began
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

/** Whether the process ended in another run, and this one was waiting for it. */
function isBehind(error: unknown): boolean {
  return error instanceof LockstepError && error.details['behind'] === true
}

/** A copy, as the memory of feeds is used again; null: it is too large to keep. */
function probeOf(feeds: Tensors, fetches: readonly string[]): { readonly feeds: Tensors; readonly fetches: readonly string[] } | null {
  const elements = Object.values(feeds).reduce((sum, { data }) => sum + data.length, 0)
  if (elements > maxProbe) return null
  const copies = Object.entries(feeds).map(([name, { type, dims, data }]) => [name, { type, dims, data: data.slice() }])
  return { feeds: Object.fromEntries(copies), fetches }
}
