import { setTimeout } from 'node:timers/promises'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { isPassing } from './is-passing.ts'
import type { HeldJob, JobQueue } from './job-queue.ts'

/** One sort of jobs: what its queues are called, and what is to be done. */
export interface JobKind {
  /** What the names of its queues begin with. */
  readonly prefix: string
  /** The queues have no owner, so that whoever works on them sweeps them, too. */
  readonly unowned?: true
  /** Whether what the queue is there for is still wanted. Where it is not, this clears it away. */
  isWanted(queue: string): Promise<boolean>
  /**
   * Does one job. What another process would fail of, too, is thrown as a LockstepError.
   *
   * @param signal aborted where this process is to end, or the job has become another's
   * @returns what is handed in; null for nothing
   */
  work(job: JobAtWork, signal: AbortSignal): Promise<object | null>
  /** Takes note of what another process would fail of, too. @returns what is handed in, null for nothing; undefined: it is to be tried again all the same */
  refuse?(job: JobAtWork, error: LockstepError): Promise<object | null | undefined>
  /** The job's result was not taken, as its queue is gone: what it has left is to be cleared away. */
  undo?(job: JobAtWork, result: object | null): Promise<void>
  /** What the job is, for people: `part 3 of 8 of flights@1`. */
  describe(data: unknown): string
}

export interface JobAtWork {
  readonly queue: string
  readonly data: unknown
  /** 0 for the first. */
  readonly attempt: number
}

export interface WorkOptions {
  readonly kinds: readonly JobKind[]
  /** The one queue to work on; absent: all that there are, in turn. */
  readonly only?: string
  /** Ends the work; a job that is under way is handed back. */
  readonly signal: AbortSignal
  readonly onEvent?: (event: JobEvent) => void
  /** How often it is looked for jobs where there were none. Default: 500. */
  readonly idleMs?: number
}

export type JobEvent =
  | { readonly kind: 'taken' | 'handed back' | 'lost' | 'refused'; readonly job: string; readonly queue: string; readonly why?: string }
  | { readonly kind: 'done'; readonly job: string; readonly queue: string; readonly seconds: number; readonly result: object | null }
  | { readonly kind: 'away'; readonly why: string }

const defaultIdleMs = 500
const awayMs = 2_000
const sweepMs = 5_000

/**
 * Takes jobs, one after another, until the signal. What another process would fail of, too, ends the job; other
 * failures hand it back. It goes on through outages: a queue whose stores are down waits, and the others do not wait
 * for it.
 */
export async function workOnJobs(jobs: JobQueue, options: WorkOptions): Promise<void> {
  const { signal } = options
  let turn = 0
  let sweepAt = performance.now() + sweepMs
  while (!signal.aborted) {
    let waitMs = options.idleMs ?? defaultIdleMs
    try {
      const { next, blocked } = await nextJob(jobs, options, turn++)
      if (next !== null) {
        await work(next, options)
        continue
      }
      if (blocked !== null) {
        options.onEvent?.({ kind: 'away', why: blocked })
        waitMs = awayMs
      }
      if (performance.now() >= sweepAt) {
        sweepAt = performance.now() + sweepMs
        await sweep(jobs, options)
      }
    } catch (error) {
      if (signal.aborted) break
      if (!isPassing(error)) throw error
      options.onEvent?.({ kind: 'away', why: messageOf(error) })
      waitMs = awayMs
    }
    await setTimeout(waitMs, undefined, { signal }).catch(() => undefined)
  }
}

interface Next {
  readonly kind: JobKind
  readonly queue: string
  readonly held: HeldJob
}

/**
 * From each queue in turn, so that a small piece of work does not wait for a large one.
 *
 * @returns `blocked`: why a queue could not be looked at
 */
async function nextJob(
  jobs: JobQueue,
  { kinds, only }: WorkOptions,
  turn: number,
): Promise<{ readonly next: Next | null; readonly blocked: string | null }> {
  let blocked: string | null = null
  const queues = only === undefined ? (await jobs.queues()).toSorted() : [only]
  for (const [i] of queues.entries()) {
    const queue = queues[(turn + i) % queues.length] as string
    const kind = kinds.find(({ prefix }) => queue.startsWith(prefix))
    if (kind === undefined) continue
    try {
      if (only === undefined && !(await kind.isWanted(queue))) continue
    } catch (error) {
      // a job that was taken now would only use up one of its tries
      blocked ??= messageOf(error)
      continue
    }
    const held = await jobs.take(queue)
    if (held !== null) return { next: { kind, queue, held }, blocked }
  }
  return { next: null, blocked }
}

async function sweep(jobs: JobQueue, { kinds, only }: WorkOptions): Promise<void> {
  for (const queue of only === undefined ? await jobs.queues() : [only]) {
    if (kinds.some(({ prefix, unowned }) => unowned === true && queue.startsWith(prefix))) await jobs.sweep(queue)
  }
}

async function work({ kind, queue, held }: Next, { signal, onEvent }: WorkOptions): Promise<void> {
  const at: JobAtWork = { queue, data: held.data, attempt: held.attempt }
  const told = { job: kind.describe(held.data), queue }
  const started = performance.now()
  onEvent?.({ kind: 'taken', ...told })
  try {
    const result = await kind.work(at, AbortSignal.any([signal, held.lost]))
    if (await held.finish(result)) {
      onEvent?.({ kind: 'done', ...told, seconds: (performance.now() - started) / 1000, result })
    } else {
      await kind.undo?.(at, result)
      onEvent?.({ kind: 'lost', ...told })
    }
  } catch (error) {
    // not among the arguments, which are not looked at where nobody wants the event
    const outcome = await giveUp(kind, at, held, signal, error)
    onEvent?.({ kind: outcome, ...told, why: messageOf(error) })
  }
}

async function giveUp(
  kind: JobKind,
  at: JobAtWork,
  held: HeldJob,
  signal: AbortSignal,
  error: unknown,
): Promise<'handed back' | 'lost' | 'refused'> {
  // also ends its heartbeat; what cannot be told is found out by its silence
  const handBack = (why: string, code?: string): Promise<void> => held.handBack(why, code).catch(() => undefined)
  if (signal.aborted) {
    await handBack('its worker was stopped')
    return 'handed back'
  }
  if (held.lost.aborted || !(await held.isHeld().catch(() => false))) {
    await handBack('another worker took it')
    return 'lost'
  }
  if (error instanceof LockstepError && error.code !== 'INTERNAL' && !isPassing(error)) {
    try {
      const result = await kind.refuse?.(at, error)
      if (result !== undefined) {
        await held.finish(result)
        return 'refused'
      }
    } catch {
      // the database went away meanwhile: whoever takes it next refuses it, too
    }
  }
  await handBack(messageOf(error), error instanceof LockstepError ? error.code : undefined)
  return 'handed back'
}
