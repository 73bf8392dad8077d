import { type Kysely, sql } from 'kysely'

/** Since when the exposures of an ended run are deleted. Results that are computed without them would be wrong. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.experiments add column exposures_deleted_at timestamptz`.execute(db)
}
