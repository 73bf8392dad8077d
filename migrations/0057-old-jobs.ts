import { type Kysely, sql } from 'kysely'

/** Indices of the jobs that may be deleted, and of those that failed, so that nothing reads the jobs of a year. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // by UTC, because an index cannot depend on the time zone of a session
  await sql`
    create index jobs_kept_until on lockstep.jobs
      ((finished_at at time zone 'UTC' + make_interval(days => greatest(keep_days, 30 * (state = 'failed')::int))))
      where finished_at is not null`.execute(db)
  await sql`create index jobs_failed on lockstep.jobs (kind) where state = 'failed'`.execute(db)
}
