import type { Transaction } from 'kysely'
import { sql } from 'kysely'
import { LockstepError, withoutStop } from '../../kernel/errors.ts'
import type { JobState, LockstepTables } from '../../migrations/schema.ts'
import type { Actor, AuditAction } from '../audit.ts'
import { recordAudit } from '../audit.ts'
import type { Database } from '../postgres/database.ts'
import { sqlState } from '../postgres/relation.ts'
import type { JobError } from './job-kind.ts'
import { announceEnd, announceWork } from './job-notices.ts'
import { addFirstStep, openStep } from './submit-job.ts'

type Handle = Pick<Database, 'kysely'>

const uniqueViolation = '23505'

export interface JobEnd {
  readonly error?: JobError | undefined
  readonly result?: object | null
  /** Who asks for it, for the audit log. */
  readonly by?: { readonly actor: Actor; readonly action: AuditAction } | undefined
}

/** Ends a job that runs; steps that are at work find it out. @returns whether it was this call that ended it */
export async function endJob({ kysely }: Handle, id: number, state: Exclude<JobState, 'running'>, end: JobEnd = {}): Promise<boolean> {
  return await kysely.transaction().execute((transaction) => endJobWithin(transaction, id, state, end))
}

/**
 * Cancels a job. The output of its steps stays, unless the kind removes it.
 *
 * @returns whether it was running
 * @throws LockstepError `BUSY` where a worker is at its finish
 */
export async function cancelJob({ kysely }: Handle, id: number, by: Actor, action: AuditAction = 'job.cancel'): Promise<boolean> {
  return await kysely.transaction().execute(async (transaction) => {
    const job = String(id)
    await transaction.selectFrom('lockstep.jobs').select('id').where('id', '=', job).forUpdate().execute()
    // locked: a worker that is about to claim it has it, or passes it over
    const finishing = await transaction
      .selectFrom('lockstep.job_chunks')
      .select(['worker', sql<boolean>`claim is not null and claimable_at > clock_timestamp()`.as('held')])
      .where('job', '=', job)
      .where('step', '=', 'finish')
      .where('state', '=', 'open')
      .forUpdate()
      .executeTakeFirst()
    if (finishing?.held === true) {
      throw new LockstepError(
        'BUSY',
        `The job "${id}" can no longer be cancelled: the worker "${finishing.worker}" is at its last step. "lockstep job show ${id}" shows whether it is done.`,
        { details: { id, worker: finishing.worker } },
      )
    }
    return await endJobWithin(transaction, id, 'cancelled', { by: { actor: by, action } })
  })
}

/**
 * Why a job that has ended cannot be cancelled.
 *
 * @param name what its user calls it
 * @param code `STALE`: a page showed it as running
 */
export function notRunning(
  what: 'job' | 'batch',
  name: number | string,
  details: { readonly id: number | string; readonly state: JobState },
  code: 'INVALID_REQUEST' | 'STALE' = 'INVALID_REQUEST',
): LockstepError {
  return new LockstepError(code, `The ${what} "${name}" is ${details.state}; only a running ${what} can be cancelled.`, { details })
}

export async function endJobWithin(
  transaction: Transaction<LockstepTables>,
  id: number,
  state: Exclude<JobState, 'running'>,
  { error, result = null, by }: JobEnd,
): Promise<boolean> {
  const job = String(id)
  const ended = await transaction
    .updateTable('lockstep.jobs')
    .set({
      state,
      error: error === undefined ? null : JSON.stringify({ code: error.code, message: error.message, details: error.details ?? {} }),
      result: result === null ? null : JSON.stringify(result),
      finished_at: sql<Date>`clock_timestamp()`,
    })
    .where('id', '=', job)
    .where('state', '=', 'running')
    .returning(['kind', 'subject', 'cleans'])
    .executeTakeFirst()
  if (ended === undefined) return false
  if (by !== undefined) {
    await recordAudit({ kysely: transaction }, by.actor, {
      action: by.action,
      subject: ended.subject,
      after: { kind: ended.kind, job: id },
    })
  }
  await transaction
    .updateTable('lockstep.job_chunks')
    .set({ state: 'closed', claim: null, data: 'null' })
    .where('job', '=', job)
    .where('state', '=', 'open')
    .execute()
  if (state !== 'done' && ended.cleans)
    await transaction
      .insertInto('lockstep.job_chunks')
      .values(openStep(job, 'clean', 0, null))
      .execute()
  await announceEnd(transaction, id)
  return true
}

/**
 * Restarts a job that failed or was cancelled: it is planned again, and all of its chunks are done.
 *
 * @throws LockstepError `NOT_FOUND`, `INVALID_REQUEST` where it runs or is done, or another of its sort runs; `BUSY`
 *   while its leftovers are removed
 */
export async function retryJob({ kysely }: Handle, id: number, by: Actor): Promise<void> {
  const job = String(id)
  const busy = await kysely
    .transaction()
    .execute(async (transaction) => {
      const found = await transaction
        .selectFrom('lockstep.jobs')
        .select(['kind', 'subject', 'state', 'plans'])
        .where('id', '=', job)
        .forUpdate()
        .executeTakeFirst()
      if (found === undefined) throw noJob(id)
      const { kind, subject, state, plans } = found
      if (state === 'running' || state === 'done') {
        const what = state === 'done' ? 'is done' : 'still runs'
        throw new LockstepError('INVALID_REQUEST', `The job "${id}" ${what}; only a job that failed or was cancelled can be retried.`, {
          details: { id, state },
        })
      }
      const steps = transaction.selectFrom('lockstep.job_chunks').select('error').where('job', '=', job).where('state', '=', 'open')
      const clean = await steps.executeTakeFirst()
      if (clean !== undefined) {
        // it may wait for an hour
        await sql`update lockstep.job_chunks set claimable_at = clock_timestamp() where job = ${job} and state = 'open' and claim is null`.execute(
          transaction,
        )
        await announceWork(transaction)
        return stillCleans(id, clean.error as JobError | null) // written by handBack alone
      }
      await transaction.deleteFrom('lockstep.job_chunks').where('job', '=', job).execute()
      await transaction
        .updateTable('lockstep.jobs')
        .set({
          state: 'running',
          plan: null,
          error: null,
          result: null,
          finished_at: null,
          chunks: 0,
          chunks_done: 0,
          retries: sql<number>`retries + 1`,
        })
        .where('id', '=', job)
        .execute()
      await addFirstStep(transaction, job, plans)
      await recordAudit({ kysely: transaction }, by, { action: 'job.retry', subject, before: { state }, after: { kind, job: id } })
      await announceWork(transaction)
      return null
    })
    .catch((error: unknown) => {
      if (sqlState(error) !== uniqueViolation) throw error
      throw new LockstepError('INVALID_REQUEST', `Another job already does the work of job "${id}"; "lockstep job list" shows it.`, {
        cause: error,
        details: { id },
      })
    })
  if (busy !== null) throw busy
}

function stillCleans(id: number, error: JobError | null): LockstepError {
  const why = error === null ? '' : ` It failed before: ${withoutStop(error.message)}.`
  const todo = 'It is tried now: check that a "lockstep worker" runs, and retry the job in a moment.'
  return new LockstepError('BUSY', `A worker still has to clean up after the job "${id}".${why} ${todo}`, { details: { id } })
}

export function noJob(id: number | string): LockstepError {
  return new LockstepError('NOT_FOUND', `There is no job "${id}"; "lockstep job list" and GET /v1/jobs list the jobs.`, {
    details: { id },
  })
}
