import { type Kysely, sql } from 'kysely'

/** Rollouts that a controller takes forward or back: their state, its decisions, and what servers count for it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.rollouts
      add column paused boolean not null default false,
      add column revision integer not null default 0,
      add column since timestamptz not null default clock_timestamp()`.execute(db)
  await sql`alter table lockstep.rollouts drop constraint rollouts_state_check`.execute(db)
  await sql`
    alter table lockstep.rollouts add constraint rollouts_state_check
      check (state in ('running', 'promoted', 'aborted', 'rolled back'))`.execute(db)
  await sql`
    create table lockstep.rollout_decisions (
      id bigint generated always as identity primary key,
      rollout bigint not null references lockstep.rollouts (id) on delete cascade,
      revision integer not null,
      step integer,
      at timestamptz not null default clock_timestamp(),
      action text not null,
      decided_by text not null,
      reasons json not null,
      evidence json,
      share_before double precision,
      share_after double precision,
      unique (rollout, revision, action)
    )`.execute(db)
  await sql`
    create table lockstep.rollout_counts (
      rollout bigint not null references lockstep.rollouts (id) on delete cascade,
      revision integer not null,
      side text not null check (side in ('candidate', 'champion')),
      process text not null,
      counts bytea not null,
      primary key (rollout, revision, side, process)
    )`.execute(db)
  await sql`alter table lockstep.prediction_log add column bypassed integer`.execute(db)
}
