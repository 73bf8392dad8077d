import { type Kysely, sql } from 'kysely'

/** Which version of a model answers requests that name none, beside its aliases: pins, and rollouts of candidates. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.model_pins (
      model text primary key,
      version integer not null,
      pinned_at timestamptz not null default now(),
      foreign key (model, version) references lockstep.model_versions (model, version)
    )`.execute(db)
  await sql`
    create table lockstep.rollouts (
      id bigint generated always as identity primary key,
      model text not null,
      version integer not null,
      state text not null check (state in ('running', 'promoted', 'aborted')),
      share double precision not null check (share >= 0 and share <= 1),
      unit text not null,
      salt text not null,
      plan json,
      step integer,
      started_by text not null,
      started_at timestamptz not null default now(),
      ended_at timestamptz
    )`.execute(db)
  await sql`create unique index rollouts_running on lockstep.rollouts (model) where state = 'running'`.execute(db)
  await sql`alter table lockstep.model_events drop constraint model_events_action_check`.execute(db)
  await sql`
    alter table lockstep.model_events add constraint model_events_action_check
      check (action in ('push', 'promote', 'rollback', 'remove', 'pin', 'unpin'))`.execute(db)
}
