import { type Kysely, sql } from 'kysely'

/**
 * How long the stages of each logged request took. Null in rows that are older than this column. Behind a long read of
 * the log it gives up rather than let the servers that write to the log wait: run the migration again then.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`set local lock_timeout = '5s'`.execute(db)
  await sql`alter table lockstep.prediction_log add column stages integer[]`.execute(db)
}
