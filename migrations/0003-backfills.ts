import { type Kysely, sql } from 'kysely'

/** Backfills, and the key ranges of each. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.backfills (
      id bigint generated always as identity primary key,
      view text not null,
      fingerprint text not null,
      store text not null,
      from_time bigint,
      to_time bigint,
      moment bigint not null,
      run bigint not null,
      origin bigint not null,
      origin_started_at timestamptz not null,
      chunks integer not null check (chunks >= 1),
      state text not null check (state in ('running', 'done', 'failed', 'cancelled')),
      error json,
      started_by text not null,
      started_at timestamptz not null default now(),
      finished_at timestamptz
    )`.execute(db)
  await sql`
    create unique index backfills_running on lockstep.backfills (view, store, coalesce(from_time, -9007199254740992), coalesce(to_time, 9007199254740992))
      where state = 'running'`.execute(db)

  await sql`
    create table lockstep.backfill_chunks (
      backfill bigint not null references lockstep.backfills (id) on delete cascade,
      chunk integer not null check (chunk >= 0),
      from_key json not null,
      to_key json not null,
      below bigint,
      rows bigint,
      entities bigint,
      worker text,
      finished_at timestamptz,
      primary key (backfill, chunk)
    )`.execute(db)
}
