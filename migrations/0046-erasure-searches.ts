import { type Kysely, sql } from 'kysely'

/** Parts of an erased key, by name: the online store is searched for states whose keys contain them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.erasure_states add column parts jsonb`.execute(db)
}
