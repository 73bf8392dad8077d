import { type Kysely, sql } from 'kysely'

/** The id of each logged prediction, for look-ups. Null in rows that are older than this column. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.prediction_log add column prediction_id text`.execute(db)
  await sql`
    create index prediction_log_by_prediction on lockstep.prediction_log (prediction_id) where prediction_id is not null
  `.execute(db)
}
