import { type Kysely, sql } from 'kysely'

/**
 * Keeps notes of an erasure's work as long as a failover of the online store may undo it, and counts how often that
 * happened.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.erasure_states
      add column done_at timestamptz,
      add column reopened integer not null default 0`.execute(db)
}
