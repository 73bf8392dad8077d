import { type Kysely, sql } from 'kysely'

/** Parquet files that were loaded into the tables of sources. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.source_files (
      source text not null,
      path text not null,
      etag text not null,
      bytes bigint not null,
      columns text[] not null,
      from_time timestamptz,
      rows bigint not null default 0,
      older_rows bigint not null default 0,
      bytes_read bigint not null default 0,
      min_event timestamptz,
      max_event timestamptz,
      load bigint not null default 0,
      xid xid8 not null default pg_current_xact_id(),
      synced_at timestamptz not null default now(),
      primary key (source, path)
    )`.execute(db)
}
