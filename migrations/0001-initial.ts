import { type Kysely, sql } from 'kysely'

/** The registry, the history of runs and data sets, and the schema of the tables that `apply` creates for sources. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create schema if not exists lockstep_source`.execute(db)

  await sql`
    create table lockstep.definitions (
      kind text not null check (kind in ('entity', 'source', 'view', 'onDemand', 'service', 'model')),
      name text not null,
      version integer not null check (version >= 0),
      fingerprint text not null,
      spec json not null,
      operational json not null,
      created_at timestamptz not null default now(),
      retired_at timestamptz,
      primary key (kind, name, version)
    )`.execute(db)

  await sql`
    create table lockstep.code (
      hash text primary key,
      body text not null,
      created_at timestamptz not null default now()
    )`.execute(db)

  await sql`
    create table lockstep.registry_state (
      "only" boolean primary key default true check ("only"),
      revision integer not null
    )`.execute(db)
  await sql`insert into lockstep.registry_state (revision) values (0)`.execute(db)

  await sql`
    create table lockstep.model_versions (
      model text not null,
      version integer not null check (version >= 1),
      bytes bytea not null,
      sha256 text not null,
      size_bytes integer not null,
      inputs json not null,
      outputs json not null,
      metadata json not null,
      service_name text not null,
      service_version integer not null,
      service_fingerprint text not null,
      created_at timestamptz not null default now(),
      primary key (model, version)
    )`.execute(db)

  await sql`
    create table lockstep.materialization_runs (
      id bigint generated always as identity primary key,
      view text not null,
      fingerprint text not null,
      store text not null,
      from_xid bigint not null,
      to_xid bigint not null,
      moment bigint not null,
      rows bigint not null,
      entities bigint not null,
      started_at timestamptz not null default now(),
      finished_at timestamptz
    )`.execute(db)
  await sql`create index materialization_runs_by_view on lockstep.materialization_runs (view, store, id desc)`.execute(db)

  await sql`
    create table lockstep.datasets (
      id text primary key,
      service text not null,
      fingerprint text not null,
      path text not null,
      manifest json not null,
      created_at timestamptz not null default now()
    )`.execute(db)
}
