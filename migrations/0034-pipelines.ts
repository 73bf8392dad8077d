import { type Kysely, sql } from 'kysely'

/** Pipelines are definitions. Whether they run, and the answers that they keep, are rows. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.definitions drop constraint definitions_kind_check`.execute(db)
  await sql`
    alter table lockstep.definitions add constraint definitions_kind_check
      check (kind in ('entity', 'source', 'view', 'onDemand', 'service', 'model', 'outcome', 'monitor', 'channel', 'experiment', 'batch', 'pipeline'))`.execute(
    db,
  )
  await sql`
    create table lockstep.pipelines (
      name text primary key,
      paused_at timestamptz,
      -- how often it was replayed: each replay has a consumer group and ids of its own
      generation int4 not null default 0,
      replayed_at timestamptz,
      replayed_from text
    )`.execute(db)
  await sql`
    create table lockstep.pipeline_answers (
      pipeline text not null,
      generation int4 not null,
      id text not null,
      answer text not null,
      at timestamptz not null default now(),
      primary key (pipeline, generation, id)
    )`.execute(db)
  await sql`create index pipeline_answers_at on lockstep.pipeline_answers (at)`.execute(db)
}
