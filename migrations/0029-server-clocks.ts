import { type Kysely, sql } from 'kysely'

/** How far the clock of each server is from that of the database, as the server last compared them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.server_clocks (
      process text primary key,
      read_at timestamptz not null default clock_timestamp(),
      offset_micros double precision not null,
      error_micros double precision not null
    )`.execute(db)
}
