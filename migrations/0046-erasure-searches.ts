import { type Kysely, sql } from 'kysely'

/** The parts of an erased key by name, in a note that has the online store searched for states whose keys contain them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.erasure_states add column parts jsonb`.execute(db)
}
