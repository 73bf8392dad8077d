import { chunkJobs } from '../materializer/backfill.ts'
import { keepCurrent } from '../materializer/keep-current.ts'
import { scheduledJobs } from '../materializer/scheduled-runs.ts'
import type { JobMetrics } from '../runtime/job-metrics.ts'
import type { Logger } from '../runtime/log.ts'
import type { JobKind } from '../runtime/work-on-jobs.ts'
import type { WorkerTools } from './worker-tools.ts'

export interface ViewsWork {
  /** What keeps the online views current, until the signal. */
  keep(signal: AbortSignal): Promise<void>
  /** The jobs of backfills and of schedules. */
  readonly kinds: readonly JobKind[]
}

/** What a worker does for the online views, and a server of an embedded database. */
export async function viewsWork(tools: WorkerTools, log: Logger, metrics: JobMetrics): Promise<ViewsWork> {
  const all = { ...tools, log, clock: () => Date.now() * 1000 }
  return {
    keep: (signal) =>
      keepCurrent(all, {
        replayMs: tools.replayMs,
        signal,
        onRun: ({ id }, { rows }) => metrics.run(id, rows),
        onFailure: ({ id }) => metrics.runFailed(id),
      }),
    kinds: [chunkJobs(tools, tools.view), await scheduledJobs(all, tools.view, ({ id }, { rows }) => metrics.run(id, rows))],
  }
}
