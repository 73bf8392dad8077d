import { type Kysely, sql } from 'kysely'

/** Finds the files that a transaction loaded. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index ingests_by_xid on lockstep.ingests (xid)`.execute(db)
  await sql`create index source_files_by_xid on lockstep.source_files (xid)`.execute(db)
}
