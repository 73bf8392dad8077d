import { sql } from 'kysely'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { JobState } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { endJob } from '../../runtime/jobs/end-job.ts'
import type { JobError } from '../../runtime/jobs/job-kind.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJob, readJobs } from '../../runtime/jobs/read-jobs.ts'
import type { BackfillPlan, BackfillSpec } from './backfill-spec.ts'
import { backfillKind, backfillPlan, backfillSpec } from './backfill-spec.ts'

type Handle = Pick<Database, 'kysely'>

/** A backfill and how far it is. */
export interface Backfill {
  /** The id of its job. */
  readonly id: number
  /** `airport_delays@1` */
  readonly view: string
  readonly store: string
  readonly events: BackfillSpec['events']
  /** null until it is planned, which it is from the beginning unless it is a retry. */
  readonly plan: BackfillPlan | null
  readonly state: JobState
  readonly error: JobError | null
  readonly startedBy: string
  readonly startedAt: Date
  readonly finishedAt: Date | null
  readonly chunks: number
  readonly chunksDone: number
  /** Rows that were folded and entities that were written so far. */
  readonly rows: number
  readonly entities: number
  /** Estimated by the pace so far, in seconds; null: unknown. */
  readonly secondsLeft: number | null
}

/** Newest first, those that run before the others. */
export async function readBackfills(
  db: Handle,
  { view, ...filter }: { readonly state?: JobState; readonly view?: string; readonly store?: string } = {},
): Promise<Backfill[]> {
  const jobs = await readJobs(db, { kind: backfillKind, subject: view, scope: filter.store, state: filter.state })
  return jobs.map(backfillOf)
}

/** @throws LockstepError `NOT_FOUND` */
export async function readBackfill(db: Handle, id: number): Promise<Backfill> {
  return backfillOf(await readJob(db, id))
}

/** @param job one of a backfill */
export function backfillOf(job: Job): Backfill {
  const { id, subject, scope, spec, plan, state, error, submittedBy, submittedAt, finishedAt, chunks, chunksDone, totals, secondsLeft } =
    job
  return {
    id,
    view: subject,
    store: scope,
    events: backfillSpec.parse(spec).events,
    plan: plan === null ? null : backfillPlan.parse(plan),
    state,
    error,
    startedBy: submittedBy,
    startedAt: submittedAt,
    finishedAt,
    chunks,
    chunksDone,
    rows: totals['rows'] ?? 0,
    entities: totals['entities'] ?? 0,
    secondsLeft,
  }
}

/** A backfill as `--json` and HTTP show it. */
export function backfillJson(backfill: Backfill) {
  const { id, view, state, error, events, plan, chunks, chunksDone, rows, entities, secondsLeft, startedBy } = backfill
  return {
    id,
    view,
    state,
    ...(error === null ? {} : { error: { code: error.code, message: error.message } }),
    from: events === null ? null : formatTimestamp(events.from),
    to: events === null ? null : formatTimestamp(events.to),
    moment: plan === null ? null : formatTimestamp(plan.moment),
    chunks,
    chunksDone,
    rows,
    entities,
    secondsLeft,
    startedBy,
    startedAt: backfill.startedAt.toISOString(),
    finishedAt: backfill.finishedAt?.toISOString() ?? null,
  }
}

/**
 * How many backfills of that view, store and definition have failed since one was done, and how long ago the last of
 * them did, by the database's clock.
 */
export async function failedBackfills(
  { kysely }: Handle,
  { view, store, fingerprint }: { readonly view: string; readonly store: string; readonly fingerprint: string },
): Promise<{ readonly times: number; readonly secondsAgo: number }> {
  const found = await sql<{ times: string; seconds: number | null }>`
    with backfill as (
      select id, state, finished_at from lockstep.jobs
      where kind = ${backfillKind} and subject = ${view} and scope = ${store} and plan ->> 'fingerprint' = ${fingerprint}
    )
    select count(*) as times, extract(epoch from clock_timestamp() - max(finished_at))::float8 as seconds from backfill
    where state = 'failed' and id > (select coalesce(max(id), 0) from backfill where state = 'done')`.execute(kysely)
  const [row] = found.rows
  return { times: Number(row?.times ?? 0), secondsAgo: row?.seconds ?? Number.POSITIVE_INFINITY }
}

/** Fails all that run in a store: it may have lost what their chunks wrote. */
export async function failBackfills(db: Handle, store: string, error: Pick<JobError, 'code' | 'message'>): Promise<void> {
  for (const { id } of await readJobs(db, { kind: backfillKind, scope: store, state: 'running', limit: 1000 }))
    await endJob(db, id, 'failed', { error })
}

/** Forgets the backfills of a view in a store, also one that runs: it has lost the view. */
export async function forgetBackfills({ kysely }: Handle, view: string, store: string): Promise<void> {
  await kysely.deleteFrom('lockstep.jobs').where('kind', '=', backfillKind).where('subject', '=', view).where('scope', '=', store).execute()
}
