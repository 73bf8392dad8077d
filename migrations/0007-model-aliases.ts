import { type Kysely, sql } from 'kysely'

/** Aliases of model versions, the history of versions and aliases, and how each version was trained. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.model_versions
      add column metrics json not null default '{}',
      add column params json not null default '{}',
      add column dataset text,
      add column git_commit text,
      add column pushed_by text`.execute(db)
  await sql`
    create table lockstep.model_aliases (
      model text not null,
      alias text not null,
      version integer not null,
      former json not null,
      set_at timestamptz not null default now(),
      primary key (model, alias),
      foreign key (model, version) references lockstep.model_versions (model, version)
    )`.execute(db)
  await sql`
    create table lockstep.model_events (
      id bigint generated always as identity primary key,
      model text not null,
      action text not null check (action in ('push', 'promote', 'rollback', 'remove')),
      alias text,
      from_version integer,
      to_version integer,
      actor text not null,
      reason text,
      at timestamptz not null default now()
    )`.execute(db)
  await sql`create index model_events_by_model on lockstep.model_events (model, id desc)`.execute(db)
}
