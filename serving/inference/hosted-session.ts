import { LockstepError } from '../../kernel/errors.ts'
import type { ModelMetadata } from './check-feeds.ts'
import type { ModelSession } from './model-session.ts'
import type { Runner } from './runner.ts'
import type { Runners } from './runners.ts'

export interface HostedOptions {
  readonly runners: Runners
  /** Has the model loaded. */
  readonly runner: Runner
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

/** After so many processes in a row that ended in a run, none is started for a while. */
const endsInARow = 3
const firstPauseMs = 5000
const longestPauseMs = 300_000

/**
 * A model in a process of its own. Where a run does not end, or takes the process down, the process is started anew; a model that does so time and again
 * is left alone for a while:
 *
 *     runs ──3 ends in a row──> paused ──5 s, then twice as long each time──> one run is tried ──it answers──> runs
 *                                  └──────────────it ends the process again────────┘
 */
export function createHostedSession(options: HostedOptions): ModelSession {
  const { runners, metadata, name, now } = options
  let runner: Promise<Runner> = Promise.resolve(options.runner)
  /** Those whose end has been told. */
  const noted = new WeakSet<Runner>()
  let ends = 0
  let pausedUntilMs = 0
  let trying = false
  let released = false

  async function start(): Promise<Runner> {
    const bytes = await options.bytes()
    const started = runners.take()
    try {
      await started.load(bytes, name, options.loadTimeoutMs)
      if (released)
        throw new LockstepError('MODEL_UNAVAILABLE', `The model "${name}" is no longer loaded; ask again.`, { details: { model: name } })
      return started
    } catch (error) {
      runners.end(started)
      throw error
    }
  }

  function startAnew(): void {
    runner = start()
    // whoever asks next sees why
    runner.catch(() => undefined)
  }

  function noteEnd(failed: Runner, error: unknown): void {
    noted.add(failed)
    runners.end(failed)
    ends++
    options.onEnd(error instanceof LockstepError && error.code === 'MODEL_TIMEOUT' ? 'timeout' : 'crash')
    if (ends < endsInARow) startAnew()
    else pausedUntilMs = now() + Math.min(longestPauseMs, firstPauseMs * 2 ** (ends - endsInARow))
  }

  /** The process; a new one where the last has ended or could not be started. */
  async function current(): Promise<Runner> {
    const before = runner
    const known = await before.catch(() => null)
    if (known?.alive() === true) return known
    if (runner === before) {
      if (known !== null) runners.end(known)
      startAnew()
    }
    return await runner
  }

  function refuseWhilePaused(): void {
    if (ends < endsInARow) return
    const leftMs = pausedUntilMs - now()
    if (leftMs <= 0 && !trying) return
    const seconds = Math.max(1, Math.ceil(leftMs / 1000))
    throw new LockstepError(
      'MODEL_UNAVAILABLE',
      `The model "${name}" has ended its process ${ends} times in a row and is left alone; it is tried again in ${seconds} s. Roll back to a version that answers.`,
      { details: { model: name, retryAfterSeconds: seconds } },
    )
  }

  return {
    metadata,
    async run(feeds, fetches) {
      refuseWhilePaused()
      const trial = ends >= endsInARow
      if (trial) trying = true
      try {
        const at = await current()
        try {
          const result = await at.run(feeds, fetches, options.timeoutMs)
          ends = 0
          return result
        } catch (error) {
          // of several runs that waited for it, the first tells
          if (!at.alive() && !noted.has(at) && !released) noteEnd(at, error)
          throw error
        }
      } finally {
        if (trial) trying = false
      }
    },
    async release() {
      released = true
      const last = await runner.catch(() => null)
      if (last !== null) runners.end(last)
    },
  }
}
