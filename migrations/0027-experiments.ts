import { type Kysely, sql } from 'kysely'

/** Experiments that were started, and the units that saw their variants. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.definitions drop constraint definitions_kind_check`.execute(db)
  await sql`
    alter table lockstep.definitions add constraint definitions_kind_check
      check (kind in ('entity', 'source', 'view', 'onDemand', 'service', 'model', 'outcome', 'monitor', 'channel', 'experiment'))`.execute(
    db,
  )
  await sql`
    create table lockstep.experiments (
      id bigint generated always as identity primary key,
      name text not null,
      model text not null,
      spec json not null,
      state text not null check (state in ('running', 'stopped', 'decided')),
      salt text not null,
      coverage double precision not null check (coverage > 0 and coverage <= 1),
      variants json not null,
      slices json not null,
      started_by text not null,
      started_at timestamptz not null default now(),
      stopped_by text,
      stopped_at timestamptz,
      stop_reason text,
      decision json,
      check ((state = 'running') = (stopped_at is null)),
      check ((state = 'decided') = (decision is not null))
    )`.execute(db)
  await sql`create unique index experiments_running on lockstep.experiments (name) where state = 'running'`.execute(db)
  await sql`create index experiments_name on lockstep.experiments (name, id)`.execute(db)
  await sql`
    create table lockstep.exposures (
      experiment_id bigint not null references lockstep.experiments (id),
      unit text collate "C" not null,
      variant text not null,
      exposed_at timestamptz not null,
      last_at timestamptz not null,
      rows bigint not null,
      propensity double precision not null,
      entity json not null,
      entities bytea[] not null default '{}',
      prediction_id text,
      primary key (experiment_id, unit, variant)
    )`.execute(db)
  await sql`
    create table lockstep.exposure_recorders (
      experiment_id bigint not null references lockstep.experiments (id),
      process uuid not null,
      started_at timestamptz not null,
      written_at timestamptz not null,
      closed_at timestamptz,
      lost bigint not null default 0,
      batch bigint not null default 0,
      primary key (experiment_id, process)
    )`.execute(db)
}
