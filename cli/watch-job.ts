import { awaitJob } from '../runtime/jobs/await-job.ts'
import type { JobEvent, JobKind } from '../runtime/jobs/job-kind.ts'
import type { Job } from '../runtime/jobs/read-jobs.ts'
import type { Logger } from '../runtime/log.ts'
import type { Context } from './context.ts'
import type { JobTools } from './worker-tools.ts'

export interface WatchOptions {
  /** The text of the progress bar: `Backfilling`. */
  readonly label: string
  /** The jobs that this process works on, too; null: it leaves the job to workers. */
  readonly kinds: readonly JobKind[] | null
}

/** Shows the progress of a job until it ends, in whatever state. */
export async function watchJob(
  { terminal, signal, log }: Context,
  { jobs, worker }: Pick<JobTools, 'jobs' | 'worker'>,
  id: number,
  { label, kinds }: WatchOptions,
): Promise<Job> {
  const progress = terminal.progress(label, 'chunks')
  try {
    return await awaitJob(jobs, id, {
      signal,
      work: kinds === null ? null : { kinds, worker, onEvent: reportTrouble(log, signal) },
      onProgress: ({ chunks, chunksDone }) => progress.update(chunksDone, chunks === 0 ? null : chunks),
    })
  } finally {
    progress.end()
  }
}

/** Reports once why a step has to be retried: it may take long until the job gives it up. */
function reportTrouble(log: Logger, signal: AbortSignal): (event: JobEvent) => void {
  let printed: string | undefined
  return (event) => {
    if (signal.aborted || (event.type !== 'handed back' && event.type !== 'unavailable') || event.error === printed) return
    printed = event.error
    log.warn({ error: event.error }, 'a step of the job is retried')
  }
}
