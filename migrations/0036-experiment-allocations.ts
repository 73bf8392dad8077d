import { type Kysely, sql } from 'kysely'

/** Shares of variants that follow the results of an experiment: since when each was in force. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.experiment_allocations (
      experiment_id bigint not null references lockstep.experiments (id),
      at timestamptz not null default clock_timestamp(),
      shares json not null,
      evidence json not null,
      primary key (experiment_id, at)
    )`.execute(db)
}
