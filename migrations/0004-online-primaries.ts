import { type Kysely, sql } from 'kysely'

/** The primaries of each online store as they were last seen, so that a new one is noticed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.online_primaries (
      store text not null,
      id text not null,
      primary key (store, id)
    )`.execute(db)
}
