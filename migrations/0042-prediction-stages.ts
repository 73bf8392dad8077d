import { type Kysely, sql } from 'kysely'

/** How long the stages of each logged request took. Null in rows that are older than this column. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.prediction_log add column stages integer[]`.execute(db)
}
