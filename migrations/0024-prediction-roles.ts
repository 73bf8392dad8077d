import { type Kysely, sql } from 'kysely'

/** Why a version answered each logged row. Null in rows that are older than these columns. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.prediction_log add column role text, add column experiment text, add column variant text`.execute(db)
}
