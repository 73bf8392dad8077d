import { type Kysely, sql } from 'kysely'

/** Files that were loaded into tables of sources. The transaction of each identifies its rows. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.ingests (
      id bigint generated always as identity primary key,
      source text not null,
      relation text not null,
      path text not null,
      sha256 text not null,
      "every" integer not null,
      "again" boolean not null,
      key text[] not null,
      rows bigint not null,
      already bigint not null,
      xid xid8 not null,
      actor text not null,
      at timestamptz not null default now(),
      undoing_at timestamptz,
      undone_at timestamptz
    )`.execute(db)
  await sql`create unique index ingests_once on lockstep.ingests (relation, sha256) where not "again" and undone_at is null`.execute(db)
}
