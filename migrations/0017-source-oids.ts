import { type Kysely, sql } from 'kysely'

/**
 * Which table a run read, by its OID: one that is dropped and made again under its name has another. Null where it is
 * not known, or a query was read.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.materialization_runs add column source_oid bigint`.execute(db)
}
