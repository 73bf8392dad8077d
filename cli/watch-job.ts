import { awaitJob } from '../runtime/jobs/await-job.ts'
import type { Doing, JobEvent, JobKind } from '../runtime/jobs/job-kind.ts'
import type { Job } from '../runtime/jobs/read-jobs.ts'
import type { Logger } from '../runtime/log.ts'
import type { Context } from './context.ts'
import type { Terminal } from './terminal.ts'
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
  const progress = jobProgress(terminal, label)
  try {
    return await awaitJob(jobs, id, {
      signal,
      work: kinds === null ? null : { kinds, worker, onEvent: reportTrouble(log, signal), onDoing: progress.show },
      onProgress: progress.update,
    })
  } finally {
    progress.end()
  }
}

/** Shows the chunks of a job; of one whose worker says what it is at, that. */
export function jobProgress(terminal: Terminal, label: string) {
  let bar = terminal.progress(label, 'chunks')
  let last: Doing | null = null
  let isHere = false
  const draw = (doing: Doing): void => {
    if (doing.what !== last?.what) {
      bar.end()
      bar = terminal.progress(`${label}, ${doing.what}`, doing.what === 'features' ? 'lookups' : 'rows')
    }
    last = doing
    bar.update(doing.done, doing.total)
  }
  return {
    /** What a step of this process is at: what the database has of it is older. */
    show(doing: Doing): void {
      isHere = true
      draw(doing)
    },
    update({ chunks, chunksDone, doing }: Pick<Job, 'chunks' | 'chunksDone' | 'doing'>): void {
      // between two steps nobody works on it
      const now = isHere ? last : (doing ?? last)
      if (now === null) bar.update(chunksDone, chunks === 0 ? null : chunks)
      else draw(now)
    },
    end(): void {
      bar.end()
    },
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
