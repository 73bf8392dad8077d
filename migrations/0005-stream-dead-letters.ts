import { type Kysely, sql } from 'kysely'

/** Stream messages that could not be turned into rows, each once. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.stream_dead_letters (
      id bigint generated always as identity primary key,
      source text not null,
      stream text not null,
      message text not null,
      body bytea,
      size_bytes integer,
      reason text not null,
      error text not null,
      at timestamptz not null default now(),
      unique (source, stream, message)
    )`.execute(db)
  await sql`create index stream_dead_letters_by_source on lockstep.stream_dead_letters (source, id desc)`.execute(db)
}
