import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../../kernel/errors.ts'
import { sleep } from '../async.ts'
import type { Database } from '../postgres/database.ts'
import { listenToJobs } from './job-notices.ts'
import type { Job } from './read-jobs.ts'
import { isSettled, readJob } from './read-jobs.ts'
import type { WorkOptions } from './work-on-jobs.ts'
import { workOnJobs } from './work-on-jobs.ts'

export interface AwaitOptions {
  readonly signal: AbortSignal
  /** Whether this process works on it, too. */
  readonly work?: Omit<WorkOptions, 'only' | 'signal'> | null
  /** Called with the state of the job, now and then. */
  readonly onProgress?: (job: Job) => void
}

/** How often it is looked how far the job is; a notice reports its end. */
const lookMs = 500
/**
 * How long a process that works on a job waits until its leftovers are removed, by this process or another, and how
 * often it looks.
 */
const maxCleanMs = 10_000
const cleanLookMs = 100

/**
 * Waits until a job has ended, however it ends. Where this process works on it, its leftovers are removed by then, or
 * `maxCleanMs` have passed.
 *
 * @throws LockstepError `NOT_FOUND`, and what the signal was aborted with
 */
export async function awaitJob(db: Database, id: number, { signal, work, onProgress }: AwaitOptions): Promise<Job> {
  const stop = new AbortController()
  const ended = AbortSignal.any([stop.signal, signal])
  const notices = await listenToJobs(db)
  const working = work === undefined || work === null ? null : workOnJobs(db, { ...work, only: id, signal: ended })
  const failed = new Promise<never>((_, reject) => void working?.catch(reject))
  failed.catch(() => undefined) // the race reports it
  try {
    for (;;) {
      signal.throwIfAborted()
      const look = new AbortController()
      const unwatch = notices.watch(id, () => look.abort())
      const job = await readJob(db, id)
      onProgress?.(job)
      if (job.state !== 'running') {
        unwatch()
        if (working !== null) await awaitClean(db, id, signal)
        return job
      }
      const ends = AbortSignal.any([look.signal, signal])
      await Promise.race([setTimeout(lookMs, undefined, { signal: ends }).catch(() => undefined), failed])
      unwatch()
    }
  } finally {
    stop.abort()
    await working?.catch(() => undefined)
    await notices.close()
  }
}

async function awaitClean(db: Database, id: number, stop: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(maxCleanMs)])
  while (!signal.aborted && !(await isSettled(db, id))) await sleep(cleanLookMs, { signal })
}

/** The error that a job has ended with; null where it is done. */
export function jobFailure({ id, kind, subject, state, error }: Job): LockstepError | null {
  if (state === 'done' || state === 'running') return null
  const details = { ...error?.details, job: id }
  if (state === 'cancelled') return new LockstepError('STOPPED', `The ${kind} ${id} of "${subject}" was cancelled.`, { details })
  return new LockstepError(error?.code ?? 'INTERNAL', error?.message ?? `The ${kind} ${id} of "${subject}" failed.`, { details })
}
