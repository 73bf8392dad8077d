import { type Kysely, sql } from 'kysely'

/** Versions that run a share of a model's requests beside the one that answers. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.shadows (
      id bigint generated always as identity primary key,
      model text not null,
      version integer not null,
      state text not null check (state in ('running', 'stopped')),
      share double precision not null check (share >= 0 and share <= 1),
      unit text not null,
      salt text not null,
      tolerance double precision not null check (tolerance >= 0),
      started_by text not null,
      started_at timestamptz not null default now(),
      ended_at timestamptz
    )`.execute(db)
  await sql`create unique index shadows_running on lockstep.shadows (model) where state = 'running'`.execute(db)
}
