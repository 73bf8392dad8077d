import type { Transaction } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../postgres/database.ts'
import { announceWork } from './job-notices.ts'
import type { JobKind, PlannedJob } from './job-kind.ts'

/** The part of a kind that a submission needs: which steps it has, and not what they do. */
export type SubmittedKind<Spec> = Pick<JobKind<Spec>, 'name' | 'spec' | 'leaseSeconds' | 'keepDays'> & {
  readonly [step in 'plan' | 'finish' | 'clean']?: unknown
}

export interface JobSubmission<Spec, Plan, Chunk> {
  readonly spec: Spec
  /** What it is about, for people. */
  readonly subject: string
  readonly scope?: string
  /** An unfinished job of the same kind, scope and key is joined. Absent: none is. */
  readonly key?: string
  /**
   * The instant of a schedule, epoch microseconds: a job of the same key and moment is joined, whatever became of it.
   */
  readonly moment?: number
  /**
   * The plan, if the process that submits it has made it. Absent: a worker makes it. The kind must still have one, for
   * retries.
   */
  readonly planned?: PlannedJob<Plan, Chunk> & { readonly chunks: readonly Chunk[] }
  /** Who submits it: `host:pid`. */
  readonly worker: string
  /** Instead of the kind's. */
  readonly leaseSeconds?: number | undefined
  /** Runs in the transaction of a job that is new. @returns whether to go on; if not, nothing is submitted */
  readonly within?: (transaction: Transaction<LockstepTables>, id: number) => Promise<boolean>
}

const chunksAtOnce = 500

/**
 * Writes a job down, for all workers of the database.
 *
 * @returns null where `within` said so
 * @throws LockstepError `INVALID_REQUEST` where the spec is not one of the kind
 */
export async function submitJob<Spec, Plan, Chunk>(
  db: Pick<Database, 'kysely'>,
  kind: SubmittedKind<Spec>,
  submission: JobSubmission<Spec, Plan, Chunk>,
): Promise<{ readonly id: number; readonly joined: boolean } | null> {
  const { subject, scope = '', key, moment, planned, worker, leaseSeconds, within } = submission
  const spec = kind.spec.safeParse(submission.spec)
  if (!spec.success) throw wrongSpec(kind.name, spec.error.message)
  for (;;) {
    const id = await db.kysely
      .transaction()
      .execute(async (transaction) => {
        const inserted = await transaction
          .insertInto('lockstep.jobs')
          .values({
            kind: kind.name,
            subject,
            scope,
            key: key ?? null,
            moment: moment === undefined ? null : String(moment),
            spec: JSON.stringify(spec.data),
            plan: planned === undefined ? null : JSON.stringify(planned.plan),
            state: 'running',
            plans: kind.plan !== undefined,
            finishes: kind.finish !== undefined,
            cleans: kind.clean !== undefined,
            lease_seconds: leaseSeconds ?? kind.leaseSeconds ?? 30,
            keep_days: kind.keepDays ?? 30,
            error: null,
            result: null,
            submitted_by: worker,
            finished_at: null,
          })
          .onConflict((conflict) => conflict.doNothing())
          .returning('id')
          .executeTakeFirst()
        if (inserted === undefined) return undefined
        if (within !== undefined && !(await within(transaction, Number(inserted.id)))) throw new NotSubmitted()
        if (planned !== undefined) await addChunks(transaction, inserted.id, 0, planned.chunks)
        else await addFirstStep(transaction, inserted.id, kind.plan !== undefined)
        await announceWork(transaction)
        return Number(inserted.id)
      })
      .catch((error: unknown) => {
        if (error instanceof NotSubmitted) return null
        throw error
      })
    if (id === null) return null
    if (id !== undefined) return { id, joined: false }
    const present = await findJob(db, { kind: kind.name, scope, key, moment })
    if (present !== null) return { id: present, joined: true }
    // it ended in between
  }
}

class NotSubmitted extends Error {}

/** The unfinished job of that kind, scope and key; with a moment, or else the one of that moment. */
export async function findJob(
  { kysely }: Pick<Database, 'kysely'>,
  {
    kind,
    scope,
    key,
    moment,
  }: { readonly kind: string; readonly scope: string; readonly key: string | undefined; readonly moment?: number | undefined },
): Promise<number | null> {
  const found = await kysely
    .selectFrom('lockstep.jobs')
    .select('id')
    .where('kind', '=', kind)
    .where('scope', '=', scope)
    .where('key', '=', key ?? '')
    .where((eb) => eb.or([eb('state', '=', 'running'), ...(moment === undefined ? [] : [eb('moment', '=', String(moment))])]))
    .executeTakeFirst()
  return found === undefined ? null : Number(found.id)
}

/** A plan step, or the only chunk of a kind without one. */
export async function addFirstStep(transaction: Transaction<LockstepTables>, job: string, plans: boolean): Promise<void> {
  if (!plans) return await addChunks(transaction, job, 0, [null])
  await transaction
    .insertInto('lockstep.job_chunks')
    .values(openStep(job, 'plan', 0, null))
    .execute()
}

/** Adds chunks from that number on; those that are there already stay as they are. */
export async function addChunks(
  transaction: Transaction<LockstepTables>,
  job: string,
  from: number,
  chunks: readonly unknown[],
): Promise<void> {
  for (let at = 0; at < chunks.length; at += chunksAtOnce) {
    const rows = chunks.slice(at, at + chunksAtOnce).map((data, i) => openStep(job, 'chunk', from + at + i, data))
    await transaction
      .insertInto('lockstep.job_chunks')
      .values(rows)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
  await transaction
    .updateTable('lockstep.jobs')
    .set(({ fn, val }) => ({ chunks: fn<number>('greatest', ['chunks', val(from + chunks.length)]) }))
    .where('id', '=', job)
    .execute()
}

export function openStep(job: string, step: 'plan' | 'chunk' | 'finish' | 'clean', number: number, data: unknown) {
  const none = { claim: null, worker: null, progress: null, result: null, error: null, finished_at: null }
  return { job, step, number, state: 'open' as const, data: JSON.stringify(data ?? null), ...none }
}

export function wrongSpec(kind: string, why: string): LockstepError {
  return new LockstepError('INVALID_REQUEST', `The spec is not one of a job of kind "${kind}": ${why}`, { details: { kind } })
}
