import { type Kysely, sql } from 'kysely'

/** How long rows took until they were known, ingested and materialized, by hour and view. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.row_delays (
      hour timestamptz not null,
      view text not null,
      stage text not null,
      -- of a scale whose steps grow with the delay (materializer/row-delays.ts)
      bucket integer not null,
      rows bigint not null,
      primary key (hour, view, stage, bucket)
    )`.execute(db)
}
