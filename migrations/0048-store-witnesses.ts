import { type Kysely, sql } from 'kysely'

/** How far each process has numbered its witnesses (online/witness.ts). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.store_witnesses (
      writer uuid primary key,
      store text not null,
      number bigint not null,
      written_at timestamptz not null default clock_timestamp()
    )`.execute(db)
}
