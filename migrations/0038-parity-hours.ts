import { type Kysely, sql } from 'kysely'

/** What the parity checks of servers found, by hour and feature. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.parity_hours (
      hour timestamptz not null,
      service text not null,
      feature text not null,
      view text not null,
      verdict text not null,
      count bigint not null,
      example text,
      primary key (hour, service, feature, verdict)
    )`.execute(db)
}
