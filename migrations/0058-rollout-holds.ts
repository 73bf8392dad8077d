import { type Kysely, sql } from 'kysely'

/** When the first of the equal looks in a row was: `at` of a look is when the newest one was. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.rollout_decisions add column since timestamptz`.execute(db)
  await sql`update lockstep.rollout_decisions set since = at`.execute(db)
  await sql`
    alter table lockstep.rollout_decisions
      alter column since set not null,
      alter column since set default clock_timestamp()`.execute(db)
}
