import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { sql } from 'kysely'
import type { JobStep, LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../postgres/database.ts'
import { endJobWithin } from './end-job.ts'
import type { Doing, JobError, PlannedJob, RunningJob } from './job-kind.ts'
import { announceWork } from './job-notices.ts'
import { addChunks, openStep } from './submit-job.ts'
import type { Rest } from './turns.ts'

type Handle = Pick<Database, 'kysely'>

/** A step that this process holds, until its lease runs out. */
export interface ClaimedStep {
  readonly kind: string
  readonly job: RunningJob<unknown, unknown>
  readonly step: JobStep
  readonly number: number
  readonly data: unknown
  /** 0 for the first. */
  readonly attempt: number
  /** What the attempt before failed with, where it could say so. */
  readonly lastError: JobError | null
  readonly claim: string
  readonly leaseSeconds: number
}

/** A step, for people: `chunk 3 of 8`. */
export function stepName({ step, number, job }: ClaimedStep): string {
  return step === 'chunk' ? `chunk ${number} of ${job.chunks}` : `the step "${step}"`
}

export interface ClaimOptions {
  /** The kinds and scopes that this process can do. */
  readonly kinds: readonly { readonly kind: string; readonly scope: string }[]
  readonly worker: string
  /** How long other jobs come before these. Absent: the job that waits for longest is next. */
  readonly rests?: readonly Rest[]
  /** Absent: any job. */
  readonly only?: number | undefined
}

interface ClaimedRow {
  readonly id: string
  readonly kind: string
  readonly subject: string
  readonly scope: string
  readonly moment: string | null
  readonly chunks: number
  readonly spec: unknown
  readonly plan: unknown
  readonly step: JobStep
  readonly number: number
  readonly data: unknown
  readonly attempts: number
  readonly error: JobError | null
  readonly lease_seconds: number
}

/** How many jobs a claim tries: other workers may take the only step of a job meanwhile. */
const maxCandidates = 16
/** How many jobs of each kind and scope are compared. More than `turns.ts` remembers, so that some are not at rest. */
const maxCompared = 200

/**
 * Claims the step that has been claimable for longest, of the job that has one for longest, or whose rest ended first.
 * Of each kind it compares the oldest jobs that have one, so that its cost does not depend on how many wait. Two never
 * get the same.
 */
export async function claimStep({ kysely }: Handle, { kinds, worker, rests = [], only }: ClaimOptions): Promise<ClaimedStep | null> {
  if (kinds.length === 0) return null
  const claim = randomUUID()
  const ofOne = only === undefined ? sql`` : sql`and j.id = ${only}::bigint`
  const { rows } = await sql<ClaimedRow>`
    with candidate as materialized (
      select j.id from unnest(${kinds.map(({ kind }) => kind)}::text[], ${kinds.map(({ scope }) => scope)}::text[]) as wanted (kind, scope)
      cross join lateral (
        select j.id, waiting.claimable_at from lockstep.jobs j
        cross join lateral (
          select c.claimable_at from lockstep.job_chunks c
          where c.job = j.id and c.state = 'open' and c.claimable_at <= (select clock_timestamp()) order by c.claimable_at limit 1
        ) as waiting
        where (j.state = 'running' or (j.cleans and j.state <> 'done')) and j.kind = wanted.kind and j.scope = wanted.scope ${ofOne}
        order by j.id limit ${maxCompared}
      ) as j
      left join unnest(${rests.map(({ job }) => job)}::bigint[], ${rests.map(({ seconds }) => seconds)}::float8[]) as rest (job, seconds) on rest.job = j.id
      order by greatest(j.claimable_at, statement_timestamp() + make_interval(secs => rest.seconds)), j.id limit ${maxCandidates}
    ), next as (
      select c.job, c.step, c.number from candidate cross join lateral (
        select c.job, c.step, c.number from lockstep.job_chunks c
        where c.job = candidate.id and c.state = 'open' and c.claimable_at <= (select clock_timestamp())
        order by c.claimable_at, c.number limit 1 for update skip locked
      ) as c limit 1
    )
    update lockstep.job_chunks c
    set claim = ${claim}::uuid, worker = ${worker}, attempts = c.attempts + 1, progress = null, doing = null,
      claimable_at = clock_timestamp() + make_interval(secs => j.lease_seconds)
    from next n, lockstep.jobs j
    where c.job = n.job and c.step = n.step and c.number = n.number and j.id = c.job
    returning j.id, j.kind, j.subject, j.scope, j.moment, j.chunks, j.spec, j.plan, j.lease_seconds, c.step, c.number, c.data, c.attempts, c.error`.execute(
    kysely,
  )
  const [row] = rows
  if (row === undefined) return null
  const { id, kind, subject, scope, moment, chunks, spec, plan, step, number, data, attempts, error } = row
  const job = { id: Number(id), subject, scope, moment: moment === null ? null : Number(moment), chunks, spec, plan }
  return { kind, job, step, number, data, attempt: attempts - 1, lastError: error, claim, leaseSeconds: row.lease_seconds }
}

/** The kinds of jobs that have a step to claim, and none of the known ones: a newer version's. */
export async function unknownKinds({ kysely }: Handle, known: readonly string[]): Promise<string[]> {
  const found = await kysely
    .selectFrom('lockstep.jobs')
    .select('kind')
    .distinct()
    .where('state', '=', 'running')
    .where('kind', 'not in', known)
    .execute()
  return found.map(({ kind }) => kind)
}

/** A heartbeat: the lease starts again. @returns whether the step is still this process's own */
export async function renewLease(
  { kysely }: Handle,
  { job, step, number, claim }: ClaimedStep,
  progress: number | null,
  doing: Doing | null = null,
): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    update lockstep.job_chunks c set claimable_at = clock_timestamp() + make_interval(secs => j.lease_seconds), progress = ${progress},
      doing = ${doing === null ? null : JSON.stringify(doing)}
    from lockstep.jobs j
    where j.id = c.job and c.job = ${job.id} and c.step = ${step} and c.number = ${number} and c.claim = ${claim}::uuid`.execute(kysely)
  return numAffectedRows === 1n
}

/**
 * Ends a plan step, and adds its chunks in the same transaction.
 *
 * @returns false where it was no longer this process's own
 */
export async function finishPlan(db: Handle, claimed: ClaimedStep, planned: PlannedJob): Promise<boolean> {
  const { plan, chunks } = planned
  const job = String(claimed.job.id)
  let count = 0
  if (Symbol.asyncIterator in chunks) {
    for await (const batch of chunks) {
      const from = count
      const isHeld = await whileHeld(db, claimed, async (transaction) => {
        if (from === 0) await setPlan(transaction, job, plan)
        await addChunks(transaction, job, from, batch)
        await announceWork(transaction)
      })
      if (!isHeld) return false
      count += batch.length
    }
  }
  return await whileHeld(db, claimed, async (transaction) => {
    await setPlan(transaction, job, plan)
    if (!(Symbol.asyncIterator in chunks)) await addChunks(transaction, job, 0, chunks)
    await closeStep(transaction, claimed, null)
    await advance(transaction, job)
  })
}

/** Ends a chunk. @returns false where it was no longer this process's own: its result is not taken */
export async function finishChunk(db: Handle, claimed: ClaimedStep, result: object | null): Promise<boolean> {
  const job = String(claimed.job.id)
  return await whileHeld(db, claimed, async (transaction) => {
    await closeStep(transaction, claimed, result)
    await transaction
      .updateTable('lockstep.jobs')
      .set(({ eb }) => ({ chunks_done: eb('chunks_done', '+', 1) }))
      .where('id', '=', job)
      .execute()
    await advance(transaction, job)
  })
}

/** Ends the last step of a job, and the job. */
export async function finishLast(db: Handle, claimed: ClaimedStep, result: object | null): Promise<boolean> {
  return await whileHeld(db, claimed, async (transaction) => {
    await closeStep(transaction, claimed, null)
    if (claimed.step === 'finish') await endJobWithin(transaction, claimed.job.id, 'done', { result })
  })
}

/** Gives a step to others, at once or later. @param refund whether the attempt does not count */
export async function handBack(
  { kysely }: Handle,
  { job, step, number, claim }: ClaimedStep,
  { delaySeconds, refund, error }: { readonly delaySeconds: number; readonly refund: boolean; readonly error: JobError },
): Promise<void> {
  await kysely.transaction().execute(async (transaction) => {
    await sql`
      update lockstep.job_chunks
      set claim = null, claimable_at = clock_timestamp() + make_interval(secs => ${delaySeconds}::float8),
        attempts = attempts - ${refund ? 1 : 0}, error = ${JSON.stringify(error)}
      where job = ${job.id} and step = ${step} and number = ${number} and claim = ${claim}::uuid`.execute(transaction)
    await announceWork(transaction)
  })
}

/** The results of all chunks of a job, in order; null of those that have none. */
export async function chunkResults({ kysely }: Handle, job: number): Promise<unknown[]> {
  const found = await kysely
    .selectFrom('lockstep.job_chunks')
    .select('result')
    .where('job', '=', String(job))
    .where('step', '=', 'chunk')
    .orderBy('number')
    .execute()
  return found.map(({ result }) => result)
}

/** Runs `fn` in a transaction under the job's lock, where it still runs and the step is this process's own. */
async function whileHeld(
  { kysely }: Handle,
  { job, step, number, claim }: ClaimedStep,
  fn: (transaction: Transaction<LockstepTables>) => Promise<void>,
): Promise<boolean> {
  return await kysely.transaction().execute(async (transaction) => {
    // the job first, in the order of those that end it
    await transaction.selectFrom('lockstep.jobs').select('id').where('id', '=', String(job.id)).forUpdate().execute()
    const held = await transaction
      .selectFrom('lockstep.job_chunks')
      .select('job')
      .where('job', '=', String(job.id))
      .where('step', '=', step)
      .where('number', '=', number)
      .where('claim', '=', claim)
      .forUpdate()
      .executeTakeFirst()
    if (held === undefined) return false
    await fn(transaction)
    return true
  })
}

async function closeStep(transaction: Transaction<LockstepTables>, claimed: ClaimedStep, result: object | null): Promise<void> {
  await transaction
    .updateTable('lockstep.job_chunks')
    .set({
      state: 'done',
      claim: null,
      data: 'null',
      error: null,
      result: result === null ? null : JSON.stringify(result),
      finished_at: sql<Date>`clock_timestamp()`,
    })
    .where('job', '=', String(claimed.job.id))
    .where('step', '=', claimed.step)
    .where('number', '=', claimed.number)
    .execute()
}

/** After a step: if no step is open any more, the job runs its finish, or is done. */
async function advance(transaction: Transaction<LockstepTables>, job: string): Promise<void> {
  const { finishes, open } = await transaction
    .selectFrom('lockstep.jobs as j')
    .select([
      'j.finishes',
      ({ exists, selectFrom }) =>
        exists(selectFrom('lockstep.job_chunks as c').select('c.job').whereRef('c.job', '=', 'j.id').where('c.state', '=', 'open')).as(
          'open',
        ),
    ])
    .where('j.id', '=', job)
    .executeTakeFirstOrThrow()
  if (open === true) return
  if (!finishes) return void (await endJobWithin(transaction, Number(job), 'done', {}))
  await transaction
    .insertInto('lockstep.job_chunks')
    .values(openStep(job, 'finish', 0, null))
    .execute()
  await announceWork(transaction)
}

async function setPlan(transaction: Transaction<LockstepTables>, job: string, plan: unknown): Promise<void> {
  await transaction
    .updateTable('lockstep.jobs')
    .set({ plan: JSON.stringify(plan) })
    .where('id', '=', job)
    .execute()
}
