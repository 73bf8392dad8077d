import { type Kysely, sql } from 'kysely'

/**
 * The figures of a report of quality, beside the report: a line over time reads a hundred of them, and PostgreSQL would
 * parse each report. Reports that were stored before have none.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.model_figures add column figures json`.execute(db)
}
