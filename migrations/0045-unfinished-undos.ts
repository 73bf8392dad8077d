import { type Kysely, sql } from 'kysely'

/**
 * Finds the loads of a source whose rows are deleted, but whose online states are not rebuilt yet: few of all loads.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index ingests_being_undone on lockstep.ingests (source) where undoing_at is not null and undone_at is null`.execute(db)
}
