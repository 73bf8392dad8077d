import { type Kysely, sql } from 'kysely'

/** The primaries of each online store when it was last checked, so that a new primary is noticed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.online_primaries (
      store text not null,
      id text not null,
      primary key (store, id)
    )`.execute(db)
}
