import { type Kysely, sql } from 'kysely'

/**
 * The OID of the table that a run read: a table that is dropped and recreated under the same name has another OID. Null
 * where the OID is unknown, or the run read a query.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.materialization_runs add column source_oid bigint`.execute(db)
}
