import { join } from 'node:path'
import { defined } from '../kernel/defined.ts'
import type { JobKind } from '../runtime/jobs/job-kind.ts'
import { jobKinds } from '../runtime/jobs/job-kinds.ts'
import type { WorkOptions } from '../runtime/jobs/work-on-jobs.ts'
import { workOnJobs } from '../runtime/jobs/work-on-jobs.ts'
import { trainingJobs } from '../training/training-job.ts'
import type { Context } from './context.ts'
import type { JobTools } from './worker-tools.ts'

/** The job kind of trainings for this process, with the trainers that its operator allows. */
export function trainingsHere(
  { config, log }: Pick<Context, 'config' | 'log'>,
  { db, catalog }: Pick<JobTools, 'db' | 'catalog'>,
): JobKind {
  const { trainers, trainingSets: keepSets, filesDirectory, alertPrivateAddresses: allowPrivate } = config
  return trainingJobs({ db, catalog, log, trainers, folder: join(filesDirectory, 'trainings'), keepSets, allowPrivate })
}

/**
 * Works on runs of trainings until the signal, one at a time, beside other jobs: a trainer may run for hours, and other
 * jobs do not wait for it. A process without trainers still begins the runs of schedules, which then wait for a worker
 * that has them.
 */
export async function workOnTrainings(
  context: Pick<Context, 'config' | 'log'>,
  tools: JobTools &
    Pick<WorkOptions, 'signal' | 'onEvent' | 'tracing' | 'idleMs'> & {
      /** false: runs of schedules are not begun. */
      readonly scheduled?: boolean
    },
): Promise<void> {
  const { jobs, worker, signal, onEvent, tracing, idleMs, scheduled = true } = tools
  const kind = trainingsHere(context, tools)
  const kinds = [scheduled ? kind : { ...kind, schedules: () => Promise.resolve([]) }]
  await workOnJobs(jobs, { ...defined({ onEvent, tracing, idleMs }), kinds, known: jobKinds, worker, signal })
}
