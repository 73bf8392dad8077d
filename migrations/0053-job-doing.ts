import { type Kysely, sql } from 'kysely'

/** What the worker of a step is at, for people: a training is one step that may take hours. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.job_chunks add column doing json`.execute(db)
}
