import { type Kysely, sql } from 'kysely'

/** What an erasure has done is noted for as long as a failover of the online store may undo it, and how often that was. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.erasure_states
      add column done_at timestamptz,
      add column reopened integer not null default 0`.execute(db)
}
