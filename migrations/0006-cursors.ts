import { type Kysely, sql } from 'kysely'

/** How far a run has read by the cursor of its source, and whether it read all of the source. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.materialization_runs
      add column cursor_column text,
      add column cursor_to bigint,
      add column read_all boolean not null default false`.execute(db)
}
