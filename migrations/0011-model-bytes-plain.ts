import { type Kysely, sql } from 'kysely'

/**
 * Stores model files uncompressed, because they are read in pieces. PostgreSQL finds a piece of an uncompressed value
 * at once. It expands a compressed value up to the piece, for each piece again: 700 ms for the 67 pieces of a file of
 * 8.8 MB, and a hundred times as much for a file ten times as large.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.model_versions alter column bytes set storage external`.execute(db)
  // Rewrites the stored files: a value that comes from an expression is not taken over in its stored form.
  await sql`update lockstep.model_versions set bytes = bytes || ''::bytea where pg_column_size(bytes) < octet_length(bytes)`.execute(db)
}
