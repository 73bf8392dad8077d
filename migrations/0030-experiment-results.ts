import { type Kysely, sql } from 'kysely'

/** What each analysis of a run of an experiment found. The newest one also has its evidence. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.experiment_results (
      id bigint generated always as identity primary key,
      experiment_id bigint not null references lockstep.experiments (id),
      as_of timestamptz not null,
      result json not null,
      evidence json,
      created_at timestamptz not null default clock_timestamp(),
      unique (experiment_id, as_of)
    )`.execute(db)
}
