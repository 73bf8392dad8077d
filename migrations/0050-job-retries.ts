import { type Kysely, sql } from 'kysely'

/** How often a job was retried, so that a page which shows an earlier run of it can tell. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.jobs add column retries integer not null default 0`.execute(db)
}
