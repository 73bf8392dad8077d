import { type Kysely, sql } from 'kysely'

/** Exposures that were lost and rebuilt from the prediction log. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.exposures add column rebuilt boolean not null default false`.execute(db)
}
