import { type Kysely, sql } from 'kysely'

/** By kind, a claim reads the oldest open jobs, and not all open jobs. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`drop index lockstep.jobs_claimable`.execute(db)
  await sql`
    create index jobs_claimable on lockstep.jobs (kind, scope, id) where state = 'running' or (cleans and state <> 'done')`.execute(db)
}
