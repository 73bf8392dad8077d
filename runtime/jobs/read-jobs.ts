import type { RawBuilder } from 'kysely'
import { sql } from 'kysely'
import type { JobState, JobStep } from '../../migrations/schema.ts'
import type { Database } from '../postgres/database.ts'
import { noJob } from './end-job.ts'
import type { Doing, JobError } from './job-kind.ts'

type Handle = Pick<Database, 'kysely'>

/** A job and how far it is. */
export interface Job {
  readonly id: number
  readonly kind: string
  readonly subject: string
  readonly scope: string
  readonly key: string | null
  /** The instant of its schedule, epoch microseconds. */
  readonly moment: number | null
  readonly spec: unknown
  /** What its chunks share; null until it is planned. */
  readonly plan: unknown
  readonly state: JobState
  readonly chunks: number
  readonly chunksDone: number
  /** Sums of the numbers in the results of its chunks, by name. */
  readonly totals: Readonly<Record<string, number>>
  /** Who is at work on it now, once for each step. */
  readonly workers: readonly string[]
  /** What one of them is at within its step; null: the kind does not say, or nobody works on it. */
  readonly doing: Doing | null
  readonly error: JobError | null
  readonly result: unknown
  readonly submittedBy: string
  readonly submittedAt: Date
  readonly finishedAt: Date | null
  /** How often it was retried. */
  readonly retries: number
  /** Estimated by the pace so far, in seconds; null: unknown. */
  readonly secondsLeft: number | null
}

export interface JobFilter {
  readonly id?: number | undefined
  readonly kind?: string | undefined
  readonly state?: JobState | undefined
  readonly subject?: string | undefined
  /** Part of its kind, its subject, who submitted it, or the message that it failed with. */
  readonly text?: string | undefined
  readonly scope?: string | undefined
  /** When they ended, epoch microseconds. */
  readonly finished?: { readonly from: number; readonly to: number } | undefined
  /** Submitted at this time or earlier, epoch microseconds. What had not ended by then counts as running. */
  readonly until?: number | undefined
  /** Whether to list only the newest job of each subject, of those that the kind and `until` leave. */
  readonly newest?: boolean | undefined
  /** Those that are listed after this one. */
  readonly after?: ListPlace | undefined
  /** Default: 100. */
  readonly limit?: number | undefined
}

/** A place in a list that has what runs, or fires, before the others, and the newest first. */
export interface ListPlace {
  readonly isFirst: boolean
  readonly id: number
}

export const maxListedJobs = 1_000

export const jobStates = ['running', 'done', 'failed', 'cancelled'] as const satisfies readonly JobState[]

/** Newest first, those that run, or ran at `until`, before the others. */
export async function readJobs(
  { kysely }: Handle,
  { id, kind, state, subject, text, scope, finished, until, newest = false, after, limit = 100 }: JobFilter,
): Promise<Job[]> {
  const moment = (micros: number) => sql`${new Date(micros / 1000)}::timestamptz`
  const stateThen = until === undefined ? sql`state` : sql`case when finished_at > ${moment(until)} then 'running' else state end`
  const errorThen = sql`case when ${stateThen} = 'running' then null else error ->> 'message' end`
  const ofKind = [
    ...(kind === undefined ? [] : [sql`kind = ${kind}`]),
    ...(until === undefined ? [] : [sql`submitted_at <= ${moment(until)}`]),
  ]
  // a condition for each filter that is given, and no other, so that PostgreSQL finds the index
  const conditions = [...ofKind]
  if (id !== undefined) conditions.push(sql`id = ${id}`)
  if (newest) conditions.push(sql`id = any (array(${newestOfSubjects(ofKind)}))`)
  if (state !== undefined) conditions.push(sql`${stateThen} = ${state}`)
  if (text !== undefined) conditions.push(sql`strpos(lower(concat_ws(' ', kind, subject, submitted_by, ${errorThen})), lower(${text})) > 0`)
  if (subject !== undefined) conditions.push(sql`subject = ${subject}`)
  if (scope !== undefined) conditions.push(sql`scope = ${scope}`)
  if (finished !== undefined) conditions.push(sql`finished_at > ${moment(finished.from)} and finished_at <= ${moment(finished.to)}`)
  if (after !== undefined) conditions.push(sql`(${stateThen} = 'running', id) < (${after.isFirst}::boolean, ${after.id}::bigint)`)
  const { rows } = await sql<JobRow>`
    select j.*, extract(epoch from clock_timestamp() - j.submitted_at)::float8 as elapsed, totals.sums, coalesce(held.workers, '{}') as workers, held.doing
    from (
      select * from lockstep.jobs where ${allOf(conditions)} order by (${stateThen} = 'running') desc, id desc limit ${limit}
    ) j
    left join lateral (
      select json_object_agg(name, total) as sums from (
        select name, sum(value::text::numeric)::float8 as total
        from lockstep.job_chunks c, json_each(case json_typeof(c.result) when 'object' then c.result else '{}' end) as r (name, value)
        where c.job = j.id and c.step = 'chunk' and json_typeof(value) = 'number' group by name
      ) by_name
    ) totals on true
    left join lateral (
      select array_agg(c.worker order by c.worker) as workers, (array_agg(c.doing order by c.number) filter (where c.doing is not null))[1] as doing from lockstep.job_chunks c
      where c.job = j.id and c.state = 'open' and c.claim is not null and c.claimable_at > clock_timestamp()
    ) held on true
    order by (${stateThen} = 'running') desc, j.id desc`.execute(kysely)
  return rows.map(jobOf)
}

function allOf(conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> {
  return sql.join([sql`true`, ...conditions], sql` and `)
}

/** The ids of the newest job of each kind and subject: one look into an index for each, and not all of their jobs. */
function newestOfSubjects(conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> {
  const last = (before: RawBuilder<unknown>) => sql`
    select kind, subject, id from lockstep.jobs where ${allOf([before, ...conditions])} order by kind desc, subject desc, id desc limit 1`
  return sql`
    with recursive newest as (
      (${last(sql`true`)}) union all
      select n.* from newest l, lateral (${last(sql`(jobs.kind, jobs.subject) < (l.kind, l.subject)`)}) n
    ) select id from newest`
}

interface JobRow {
  readonly id: string
  readonly kind: string
  readonly subject: string
  readonly scope: string
  readonly key: string | null
  readonly moment: string | null
  readonly spec: unknown
  readonly plan: unknown
  readonly state: JobState
  readonly chunks: number
  readonly chunks_done: number
  readonly retries: number
  readonly error: JobError | null
  readonly result: unknown
  readonly submitted_by: string
  readonly submitted_at: Date
  readonly finished_at: Date | null
  readonly elapsed: number
  readonly sums: Readonly<Record<string, number>> | null
  readonly workers: readonly string[]
  readonly doing: Doing | null
}

function jobOf(row: JobRow): Job {
  const { id, kind, subject, scope, key, spec, plan, state, chunks, retries, error, result, workers, doing } = row
  const done = row.chunks_done
  return {
    id: Number(id),
    kind,
    subject,
    scope,
    key,
    moment: row.moment === null ? null : Number(row.moment),
    spec,
    plan,
    state,
    chunks,
    chunksDone: done,
    totals: row.sums ?? {},
    workers,
    doing,
    error,
    result,
    submittedBy: row.submitted_by,
    submittedAt: row.submitted_at,
    finishedAt: row.finished_at,
    retries,
    secondsLeft: state !== 'running' || done === 0 ? null : Math.max(0, (row.elapsed / done) * (chunks - done)),
  }
}

/** @throws LockstepError `NOT_FOUND` */
export async function readJob(db: Handle, id: number): Promise<Job> {
  const [job] = await readJobs(db, { id })
  if (job === undefined) throw noJob(id)
  return job
}

/** A step of a job, for people. */
export interface JobStepStatus {
  readonly step: JobStep
  readonly number: number
  readonly state: 'open' | 'done' | 'closed'
  readonly attempts: number
  /** Who has it, or had it last. */
  readonly worker: string | null
  /** Whether somebody is at it now. */
  readonly atWork: boolean
  readonly progress: number | null
  /** What the last attempt failed with. */
  readonly error: JobError | null
  /** Of one that waits for its next attempt. */
  readonly claimableAt: Date | null
}

/** Those at work first, then those that wait, then the others. */
export async function readSteps({ kysely }: Handle, job: number, limit = 100): Promise<JobStepStatus[]> {
  const { rows } = await sql<JobStepStatus>`
    select step, number, state, attempts, worker, state = 'open' and claim is not null and claimable_at > clock_timestamp() as "atWork",
      progress, error, case when state = 'open' and (claim is null or claimable_at <= clock_timestamp()) then claimable_at end as "claimableAt"
    from lockstep.job_chunks where job = ${job}
    order by 6 desc, state = 'open' desc, array_position(array['plan', 'chunk', 'finish', 'clean'], step), number limit ${limit}`.execute(
    kysely,
  )
  return rows
}

/** Whether a job has no step that is still to be done; its clean is one. */
export async function isSettled({ kysely }: Handle, job: number): Promise<boolean> {
  const open = kysely.selectFrom('lockstep.job_chunks').select('step').where('job', '=', String(job)).where('state', '=', 'open').limit(1)
  return (await open.executeTakeFirst()) === undefined
}
