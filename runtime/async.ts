import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { LockstepError } from '../kernel/errors.ts'
import type { Steps } from '../statistics/steps.ts'

/** The result of `orTimeout` if the time ran out first. */
export const timedOut: unique symbol = Symbol('timed out')

/**
 * The result of `work`, or `timedOut` after `ms`. The work continues; its later failure is ignored. Rejects as
 * `work` does.
 */
export function orTimeout<T>(work: Promise<T>, ms: number): Promise<T | typeof timedOut> {
  return settleBefore(work, ms, (resolve) => resolve(timedOut))
}

/** The result of `work`; rejects with `timeoutError()` after `ms`, while the work continues. */
export function withTimeout<T>(work: Promise<T>, ms: number, timeoutError: () => Error): Promise<T> {
  return settleBefore<T, T>(work, ms, (_, reject) => reject(timeoutError()))
}

/**
 * Like `withTimeout`, to find out whether a server answers: while this process is stalled, the time hardly counts
 * (`startPatientTimer`).
 */
export function withPatience<T>(work: Promise<T>, ms: number, timeoutError: () => Error): Promise<T> {
  return settleBefore<T, T>(work, ms, (_, reject) => reject(timeoutError()), startPatientTimer)
}

function settleBefore<T, R>(
  work: Promise<T>,
  ms: number,
  onTimeout: (resolve: (value: R) => void, reject: (error: Error) => void) => void,
  start: typeof startPatientTimer = startTimer,
): Promise<T | R> {
  return new Promise((resolve, reject) => {
    const stop = start(ms, () => onTimeout(resolve, reject))
    const settle =
      <Outcome>(by: (outcome: Outcome) => void) =>
      (outcome: Outcome): void => {
        stop()
        by(outcome)
      }
    work.then(settle(resolve), settle(reject))
  })
}

function startTimer(ms: number, onTimeout: () => void): () => void {
  // Node warns of a negative time
  const timer = setTimeout(onTimeout, Math.max(0, ms))
  return () => clearTimeout(timer)
}

const patientSteps = 10

/**
 * Calls `onTimeout` after `ms`. An overloaded machine may not run this process for seconds, and then the process runs
 * its timers before it reads the answers that have arrived. So the time passes in ten steps, and a stall ends only one.
 *
 * @returns a function that stops it
 */
export function startPatientTimer(ms: number, onTimeout: () => void): () => void {
  let stopped = false
  let timer: NodeJS.Timeout
  const step = (left: number): void => {
    timer = setTimeout(() => (left > 1 ? step(left - 1) : setImmediate(() => stopped || onTimeout())), ms / patientSteps)
  }
  step(patientSteps)
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}

/** Resolves after `ms`, or at once when the signal is aborted. With `ref: false` it does not keep the process alive. */
export async function sleep(ms: number, { signal, ref = true }: { signal?: AbortSignal | undefined; ref?: boolean } = {}): Promise<void> {
  await delay(ms, undefined, { ref, ...(signal === undefined ? {} : { signal }) }).catch(() => undefined)
}

/** How long a loop may run before the other work of the process has its turn, milliseconds. */
const turnMs = 1

/** The turns of one long loop: `if (turns.isOver()) await turns.next()`. */
export interface Turns {
  isOver(): boolean
  /** Lets other work of the process run. Rejects with the signal's reason when the signal is aborted. */
  next(): Promise<void>
}

export function startTurns(signal?: AbortSignal): Turns {
  let endMs = performance.now() + turnMs
  return {
    isOver: () => performance.now() > endMs,
    async next() {
      await nextTurn()
      signal?.throwIfAborted()
      endMs = performance.now() + turnMs
    },
  }
}

/** Does the steps of a computation. Other work of the process runs in between. */
export async function inTurns<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T> {
  const turns = startTurns(signal)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    if (turns.isOver()) await turns.next()
  }
}

/** A random time within 25 % of `ms`, so that many processes do not act at the same moment. */
export function jitter(ms: number): number {
  return ms * (0.75 + Math.random() / 2)
}

/** A wait that doubles with each failure in a row. */
export interface Backoff {
  /** After the first failure, milliseconds. */
  readonly firstMs: number
  readonly maxMs: number
}

/** How long to wait after so many failures in a row, milliseconds: 0 after none. */
export function backoffMs(failures: number, { firstMs, maxMs }: Backoff): number {
  return failures <= 0 ? 0 : Math.min(maxMs, firstMs * 2 ** (failures - 1))
}

/** A random time from 0 to `backoffMs` ("full jitter"), for writers that conflicted. */
export function randomBackoffMs(failures: number, backoff: Backoff): number {
  return Math.random() * backoffMs(failures, backoff)
}

export interface SemaphoreOptions {
  /** How many run at once. */
  readonly permits: number
  /** The maximum waiting callers, and their name for errors (`reads of the history`). Absent: no limit. */
  readonly queue?: { readonly max: number; readonly name: string }
}

/**
 * Runs `work` when a permit is free. @throws LockstepError `BUSY` if too many callers already wait, and what `work`
 * throws
 */
export type Semaphore = <T>(work: () => Promise<T>, place?: WaitingPlace) => Promise<T>

/** What a caller holds elsewhere, and gives back while it waits. Neither is called if a permit is free. */
export interface WaitingPlace {
  giveBack(): void
  takeBack(): void
}

/** A counting semaphore, first in, first out. */
export function createSemaphore({ permits, queue }: SemaphoreOptions): Semaphore {
  const waiting: (() => void)[] = []
  let free = permits

  return async (work, place) => {
    if (free > 0) free--
    else if (queue === undefined || waiting.length < queue.max) {
      const turn = new Promise<void>((resolve) => waiting.push(resolve))
      place?.giveBack()
      await turn
      place?.takeBack()
    } else throw new LockstepError('BUSY', `The server has ${permits} ${queue.name} in progress and ${queue.max} waiting; try again soon.`)
    try {
      return await work()
    } finally {
      // the permit passes to the next in the queue, so that no newcomer can take it
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}

/** A task that runs again and again. */
export interface PollLoop {
  /** Its first run. */
  readonly first: Promise<void>
  /** Runs the task now instead of after its delay. If it is running, it runs once more. */
  wake(): void
  /** Starts no further run and waits for the current one. */
  stop(): Promise<void>
}

/**
 * Runs `task` until stopped: each run starts `delayMs()` after the last one ended. The timer keeps no process alive.
 */
export function startPollLoop(task: () => Promise<void>, delayMs: () => number): PollLoop {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let busy = false
  let again = false
  let running: Promise<void>

  async function run(): Promise<void> {
    busy = true
    do {
      again = false
      await task()
    } while (again && !stopped)
    busy = false
    if (stopped) return
    timer = setTimeout(start, delayMs())
    timer.unref()
  }

  function start(): void {
    running = run()
  }

  running = run()
  return {
    first: running,
    wake() {
      again = true
      if (busy || stopped) return
      clearTimeout(timer)
      start()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}

/** The result of `work`; rejects with the signal's reason when the signal is aborted, while the work continues. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) return await work()
  signal.throwIfAborted()
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([work(), aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
