import { type Kysely, sql } from 'kysely'

/**
 * Model files are read in pieces. PostgreSQL finds a piece at once in what it has not compressed; of a compressed value it expands all that comes before, for each piece again:
 * 700 ms for the 67 pieces of a file of 8.8 MB, and a hundred times as much for one ten times as large.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.model_versions alter column bytes set storage external`.execute(db)
  // what is there is written anew: a value that comes from an expression is not taken over as it was stored
  await sql`update lockstep.model_versions set bytes = bytes || ''::bytea where pg_column_size(bytes) < octet_length(bytes)`.execute(db)
}
