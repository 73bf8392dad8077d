import { type Kysely, sql } from 'kysely'

/**
 * The index of the log by time has ranges of 1 MB, and a read takes all rows that are in none. Before, only a vacuum
 * added ranges, at the earliest when the log of a day had grown by a fifth.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`drop index lockstep.prediction_log_at`.execute(db)
  await sql`create index prediction_log_at on lockstep.prediction_log using brin (at) with (autosummarize = on)`.execute(db)
}
