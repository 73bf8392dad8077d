import { type Kysely, sql } from 'kysely'

/** When a silence would have ended that somebody ended earlier: pages of a moment before that show it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.alert_silences add column planned_end timestamptz`.execute(db)
}
