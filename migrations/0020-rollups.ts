import { type Kysely, sql } from 'kysely'

/**
 * Summaries of what servers answer: by process and minute, and merged by hour and by day. The servers make a partition
 * of the minutes for each day (UTC).
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.rollups (
      at timestamptz not null,
      process text not null,
      model text not null,
      version integer not null,
      role text not null,
      ended boolean not null,
      traffic bytea not null,
      columns bytea,
      primary key (at, process, model, version, role)
    ) partition by range (at)`.execute(db)
  await sql`
    create table lockstep.merged_rollups (
      step text not null check (step in ('hour', 'day')),
      at timestamptz not null,
      model text not null,
      version integer not null,
      role text not null,
      parts integer not null,
      traffic bytea not null,
      columns bytea,
      coverage json,
      primary key (step, at, model, version, role)
    )`.execute(db)
}
