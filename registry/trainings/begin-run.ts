import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMicros } from '../../runtime/postgres/database-clock.ts'
import { retryJob } from '../../runtime/jobs/end-job.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJob, readJobs } from '../../runtime/jobs/read-jobs.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import type { Catalog } from '../catalog.ts'
import { trainingRuns } from './training-run.ts'
import { trainingKind } from './training-spec.ts'

export interface RunBeginner {
  readonly db: Database
  readonly catalog: Pick<Catalog, 'training'>
  /** How others call this process: `host:pid`. */
  readonly worker: string
  readonly by: Actor
}

/**
 * Begins a run of a training. A run of the same instant is joined if it runs or is done; one that failed or was
 * cancelled is retried. So the call can be repeated.
 *
 * @param at the instant, epoch microseconds; null: now, or that of the run that is under way
 * @throws LockstepError `UNKNOWN_DEFINITION`; `INVALID_TIME` for an instant in the future; `IN_USE` where a run of
 *   another instant is under way
 */
export async function beginTraining(
  { db, catalog, worker, by }: RunBeginner,
  name: string,
  at: number | null,
): Promise<{ readonly job: Job; readonly joined: boolean }> {
  const { spec: training } = catalog.training(name)
  const now = await sharedNowMicros(db, Date.now() * 1000)
  if (at !== null && at > now)
    throw new LockstepError('INVALID_TIME', `The instant "${formatTimestamp(at)}" is in the future. Give a moment in the past.`)
  for (;;) {
    const present = await presentRun(db, name, at)
    if (present !== null) {
      if (present.state === 'running' || present.state === 'done') return { job: present, joined: true }
      if (await retried(db, present.id, by)) return { job: await readJob(db, present.id), joined: false }
      continue
    }
    const submitted = await submitJob(db, trainingRuns, {
      spec: { training },
      subject: name,
      scope: training.trainer,
      key: name,
      moment: at ?? now,
      worker,
      async within(transaction, job) {
        await recordAudit({ kysely: transaction }, by, { action: 'training.start', subject: name, after: { job, model: training.model } })
        return true
      },
    })
    if (submitted !== null && !submitted.joined) return { job: await readJob(db, submitted.id), joined: false }
    // one that another process began meanwhile may be of another instant
  }
}

/** @returns false where another process has retried it meanwhile, or begun another run of the training */
async function retried(db: Database, id: number, by: Actor): Promise<boolean> {
  try {
    await retryJob(db, id, by)
    return true
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'INVALID_REQUEST') return false
    throw error
  }
}

/** The run of the instant, or the one that is under way. @throws LockstepError `IN_USE` */
async function presentRun(db: Database, name: string, at: number | null): Promise<Job | null> {
  const [running] = await readJobs(db, { kind: trainingKind, subject: name, state: 'running', limit: 1 })
  if (running !== undefined && (at === null || running.moment === at)) return running
  if (running !== undefined) {
    throw new LockstepError(
      'IN_USE',
      `Another run of the training "${name}" is under way, as job ${running.id}. Wait for it ("lockstep job watch ${running.id}") or cancel it ("lockstep job cancel ${running.id}").`,
      { details: { training: name, job: running.id } },
    )
  }
  if (at === null) return null
  const found = await db.kysely
    .selectFrom('lockstep.jobs')
    .select('id')
    .where('kind', '=', trainingKind)
    .where('key', '=', name)
    .where('moment', '=', String(at))
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return found === undefined ? null : await readJob(db, Number(found.id))
}
