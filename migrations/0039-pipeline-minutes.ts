import { type Kysely, sql } from 'kysely'

/** What each process that runs a pipeline did, by minute. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.pipeline_minutes (
      pipeline text not null,
      minute timestamptz not null,
      process text not null,
      answered bigint not null,
      dead bigint not null,
      failures bigint not null,
      -- of the whole consumer group; null: not read in this minute
      waiting bigint,
      pending bigint,
      -- the greatest age of a message that was being worked on
      oldest_seconds float8 not null,
      seen_at timestamptz not null,
      -- why it waits; null: it does not
      failing text,
      -- the last failure of the minute
      error text,
      error_at timestamptz,
      primary key (pipeline, minute, process)
    )`.execute(db)
  await sql`create index pipeline_minutes_minute on lockstep.pipeline_minutes (minute)`.execute(db)
}
